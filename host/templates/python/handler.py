"""{{name}}: drops weak earthquakes, marks strong ones and emits them to a topic, and passes all other Eventos.

`sdk/eventos/__init__.py` documents what else a handler can do.
"""

from dataclasses import dataclass

from eventos import Drop, Header, Pass, Record, Reject, Replace, config, emit, log


@dataclass
class Settings:
    #: The least magnitude of a strong earthquake.
    least: float = 5.0
    #: The topic to emit strong earthquakes to, if any.
    alerts: str = ""


settings = Settings()


def init():
    """Runs once in each new instance. If it raises, the handler does not start."""
    global settings
    settings = config.typed(Settings)


def handle(evento):
    if evento.is_tombstone or evento.tipo != "earthquake":
        return Pass()
    mag = evento.json().get("mag")
    if mag is None:
        return Reject("the earthquake has no magnitude")
    if mag < settings.least:
        return Drop()
    log.info(f"strong earthquake {evento.id} of magnitude {mag}")
    if settings.alerts:
        # The topic has to be in the handler's setting `produce` as well.
        emit.send(settings.alerts, evento, Record(evento.value, key=evento.id, headers=(Header("mag", str(mag)),)))
    # Sets one member, and leaves all others as they are, byte for byte.
    value = evento.set_at("/level", '"strong"')
    return Replace([evento.to_record().with_value(value).with_header("marked-by", "{{handler}}")])
