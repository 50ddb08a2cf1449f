# Importaciones similares al productor, pero ahora con AIOKafkaConsumer.
from fastapi import FastAPI
from aiokafka import AIOKafkaConsumer
from models import Evento
import json
import asyncio

app = FastAPI()

# Una lista en memoria para guardar los mensajes recibidos.
# En una aplicación real, aquí harías algo más útil: guardar en una base de datos,
# procesar los datos, llamar a otra API, etc.
mensajes: list[Evento] = []

# Constantes de configuración.
KAFKA_BOOTSTRAP = "kafka:9092"
TOPIC = "eventos"

# Esta es la función principal del consumidor. Se ejecutará en un bucle infinito.
async def consume():
    # Se instancia el consumidor.
    consumer = AIOKafkaConsumer(
        TOPIC, # El topic (o lista de topics) al que se suscribe.
        bootstrap_servers=KAFKA_BOOTSTRAP,
        # MUY IMPORTANTE: Identifica al consumidor como parte de este grupo.
        # Permite escalar ejecutando varias instancias de este mismo servicio.
        group_id="grupo-consumidor-2", 
        # Como se explicó antes, empieza a leer desde el principio del topic.
        auto_offset_reset="earliest" 
    )
    # Inicia el consumidor y se conecta al clúster de Kafka.
    await consumer.start()
    try:
        # Este es el bucle de consumo. 'async for' es una forma elegante y eficiente
        # de esperar y procesar mensajes a medida que llegan, sin bloquear el hilo.
        async for msg in consumer:
            # 'msg.value' contiene el mensaje en bytes. Se decodifica a string.
            data = json.loads(msg.value.decode())
            # Se convierte el diccionario JSON de vuelta a un objeto Pydantic 'Evento'.
            # Esto valida que el mensaje tiene la estructura esperada.
            evento = Evento(**data)
            
            # Imprime el evento recibido.
            print(f"📥 Recibido evento: {evento.tipo} con ID {evento.id}")
            
            # Añade el evento a la lista en memoria.
            mensajes.append(evento)
    finally:
        # Este bloque se asegura de que, si el bucle termina por cualquier razón
        # (aunque en este caso no debería), el consumidor se detenga limpiamente.
        await consumer.stop()

# En el evento de arranque de la aplicación FastAPI...
@app.on_event("startup")
async def startup_event():
    # ...se crea una tarea en segundo plano para ejecutar la función 'consume'.
    # asyncio.create_task() es VITAL aquí. Lanza el bucle de consumo para que se ejecute
    # concurrentemente, sin bloquear el arranque del servidor web de FastAPI.
    # Así, la API puede servir peticiones (como /messages) mientras consume de Kafka.
    asyncio.create_task(consume())

# Un endpoint de prueba para ver los mensajes que se han consumido.
@app.get("/messages")
async def get_messages():
    # Devuelve el contenido de la lista 'mensajes'.
    return [m.dict() for m in mensajes]
