# Importaciones necesarias: FastAPI para la API web, el modelo Pydantic,
# el productor asíncrono de aiokafka, asyncio para tareas asíncronas
# y json para la serialización.
from fastapi import FastAPI
from models import Evento
from aiokafka import AIOKafkaProducer
import asyncio
import json
import logging # Aunque importado, no se usa. Sería bueno para logs más formales.

# Se crea la instancia de la aplicación FastAPI.
app = FastAPI()

# Se inicializa la variable global para el productor. Es 'None' al principio.
producer: AIOKafkaProducer = None

# Constantes para la configuración. Es una buena práctica para mantener el código limpio.
BOOTSTRAP_SERVERS = "kafka:9092" # "kafka" es el nombre del servicio en Docker Compose.
TOPIC = "eventos"

# Esta función es CRÍTICA. Se encarga de crear y conectar el productor a Kafka.
async def get_kafka_producer():
    global producer
    retries = 10 # Número de intentos de conexión.
    
    # Bucle de reintentos: muy importante en arquitecturas de microservicios (ej. Docker),
    # donde este servicio puede arrancar ANTES de que el broker de Kafka esté listo.
    for i in range(retries):
        try:
            # Se instancia el productor, pasándole la dirección de los brokers.
            producer = AIOKafkaProducer(
                bootstrap_servers=BOOTSTRAP_SERVERS
            )
            # Inicia el productor. Esta es una operación de red, por lo que es asíncrona.
            # Establece la conexión y obtiene metadatos del clúster.
            await producer.start()
            print("✅ Productor Kafka iniciado correctamente.")
            return # Si tiene éxito, sale de la función.
        except Exception as e:
            # Si la conexión falla (ej. Kafka no está listo), lo imprime y espera.
            print(f"❌ Reintentando conexión a Kafka ({i+1}/{retries}): {e}")
            await asyncio.sleep(3) # Espera 3 segundos antes del siguiente intento.
            
    # Si después de todos los reintentos no se pudo conectar, lanza un error para detener la aplicación.
    raise RuntimeError("🛑 No se pudo conectar a Kafka.")

# Decorador de FastAPI que ejecuta esta función cuando la aplicación arranca.
# Asegura que el productor esté listo antes de aceptar peticiones.
@app.on_event("startup")
async def startup_event():
    await get_kafka_producer()

# Decorador que se ejecuta cuando la aplicación se apaga (ej. con Ctrl+C).
# Es crucial para cerrar las conexiones de forma limpia.
@app.on_event("shutdown")
async def shutdown_event():
    if producer:
        # Detiene el productor, enviando los mensajes pendientes y cerrando conexiones.
        await producer.stop()

# El endpoint de la API que recibe los eventos a través de una petición POST.
@app.post("/send")
async def send_message(evento: Evento):
    # Serializa el objeto Pydantic 'Evento' a un diccionario, luego a un string JSON,
    # y finalmente lo codifica a bytes (UTF-8), que es el formato que Kafka espera.
    value = json.dumps(evento.dict()).encode("utf-8")
    
    # Envía el mensaje al topic especificado.
    # 'send_and_wait' es un método conveniente que espera la confirmación (ACK) del broker
    # de que el mensaje ha sido recibido y escrito en la partición.
    # Esto garantiza la entrega pero puede ser un poco más lento que solo 'send()'.
    await producer.send_and_wait(TOPIC, value=value)
    
    # Devuelve una respuesta confirmando el envío.
    return {"status": "message sent", "evento": evento}
