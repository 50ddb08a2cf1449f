"""The handler in ../src, written in Python."""

from eventos import Drop, Pass, Replace


def handle(evento):
    value = evento.value
    if not value or value[0] == ord("!"):
        return Drop()
    if evento.tipo != "mark":
        return Pass()
    return Replace([evento.to_record().with_header("seen-by", "bench")])
