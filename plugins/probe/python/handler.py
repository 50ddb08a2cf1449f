"""The probe of ../src in Python: each Evento is treated as its `tipo` says. The suite
host/tests/suite/handlers/languages.rs runs it with the same expectations as the others."""

import beyond
from eventos import Drop, Header, Pass, Record, Reject, Replace, Retry, config, emit, log, store


def init():
    text = config.get("fail_init")
    if text is not None:
        raise ValueError(f"fail_init is set: {text}")


def handle(evento):
    tipo = (config.get("tombstone") or "") if evento.is_tombstone else evento.tipo
    match tipo:
        case "drop":
            return Drop()
        case "replace":
            return Replace([part(evento, 1), part(evento, 2).with_header("part", "2")])
        case "replace-none":
            return Replace([])
        case "replace-tombstone":
            return Replace([Record(None, key=evento.id)])
        case "echo":
            return Replace([evento.to_record()])
        case "retry":
            return Retry(f"{evento.id} is asked to be retried")
        case "reject":
            return Reject(f"{evento.id} is asked to be rejected")
        case "headers":
            return Reject(described(evento))
        case "config":
            return Reject("[" + ", ".join(f'("{k}", "{v}")' for k, v in config.all().items()) + "]")
        case "panic":
            raise RuntimeError("asked to panic")
        case "spin":
            while True:
                pass
        case "grow":
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        case "recurse":
            return recurse(1) + 1
        case "store" | "store-reject" | "store-retry" | "store-panic":
            store.append(evento)
            return after(tipo)
        case "emit-forbidden":
            emit.send("forbidden", evento, made(evento))
            return Pass()
        case "emit" | "emit-reject" | "emit-retry" | "emit-panic":
            emit.send(config.get("emit_to"), evento, made(evento))
            return after(tipo)
        case "log" | "log-panic":
            for level in (log.trace, log.debug, log.info, log.warn, log.error):
                level(f"{evento.id} at {level.__name__}")
            return after(tipo)
    came_of_it = beyond.act(tipo)
    return Pass() if came_of_it is None else Reject(came_of_it)


def after(tipo):
    """What follows an effect, so that a test can see whether the effect counts."""
    match tipo.rsplit("-")[-1]:
        case "reject":
            return Reject("rejected after an effect")
        case "retry":
            return Retry("retried after an effect")
        case "panic":
            raise RuntimeError("panicked after an effect")
    return Pass()


def recurse(levels):
    return recurse(levels + 1) + levels


def part(evento, number):
    """Key, headers and timestamp of the source, and a value of its own."""
    value = '{"id":"part-%d","tipo":"part","of":%s}' % (number, evento.value.decode())
    return evento.to_record().with_value(value)


def made(evento):
    """A record with all that a record can have."""
    headers = (Header("a", b"1"), Header("nothing", None), Header("a", b"2"))
    return Record(evento.value, f"key of {evento.id}", headers, 1_700_000_000_000)


def described(evento):
    headers = ", ".join(f"{name}={quoted(value)}" for name, value in evento.headers)
    timestamp = "None" if evento.timestamp is None else f"Some({evento.timestamp})"
    members = {
        "id": f'"{evento.id}"',
        "integer": str(evento.id_is_integer).lower(),
        "tipo": f'"{evento.tipo}"',
        "key": quoted(evento.key),
        "value": quoted(evento.value),
        "headers": f"[{headers}]",
        "timestamp": timestamp,
        "log_append_time": str(evento.log_append_time).lower(),
        "tombstone": str(evento.is_tombstone).lower(),
        "topic": evento.topic,
        "partition": evento.partition,
        "offset": evento.offset,
    }
    return "; ".join(f"{name}={member}" for name, member in members.items())


def quoted(value):
    """Bytes as Rust's `escape_ascii` writes them."""
    if value is None:
        return "null"
    return '"' + "".join(escaped(byte) for byte in value) + '"'


def escaped(byte):
    if byte in b"\"'\\":
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
