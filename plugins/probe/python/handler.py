"""The probe in ../src, written in Python: the `tipo` of each Evento says what to do with it. The suite
host/tests/suite/handlers/languages.rs runs it with the same expectations as the others."""

import mistakes
import stdlib
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
        case "random":
            return Replace([Record.of_json({"id": evento.id, "tipo": "random", "numbers": stdlib.numbers()})])
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
            return Reject(describe(evento))
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
            return outcome_after_effect(tipo)
        case "emit-forbidden":
            emit.send("forbidden", evento, full_record(evento))
            return Pass()
        case "emit" | "emit-reject" | "emit-retry" | "emit-panic":
            emit.send(config.get("emit_to"), evento, full_record(evento))
            return outcome_after_effect(tipo)
        case "log" | "log-panic":
            for level in (log.trace, log.debug, log.info, log.warn, log.error):
                level(f"{evento.id} at {level.__name__}")
            return outcome_after_effect(tipo)
    if tipo.startswith("mistake-"):
        return mistakes.make(tipo, evento)
    result = stdlib.act(tipo)
    return Pass() if result is None else Reject(result)


def outcome_after_effect(tipo):
    """Ends the handling after an effect as the suffix of the tipo says, so that a test can see whether the effect counts."""
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
    """Returns a record with a new value and the key, headers and timestamp of its source."""
    value = '{"id":"part-%d","tipo":"part","of":%s}' % (number, evento.value.decode())
    return evento.to_record().with_value(value)


def full_record(evento):
    """Returns a record with every part that a record can have."""
    headers = (Header("a", b"1"), Header("nothing", None), Header("a", b"2"))
    return Record(evento.value, f"key of {evento.id}", headers, 1_700_000_000_000)


def describe(evento):
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
    """Returns bytes in the form of Rust's `escape_ascii`."""
    if value is None:
        return "null"
    return '"' + "".join(escaped(byte) for byte in value) + '"'


def escaped(byte):
    if byte in b"\"'\\":
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
