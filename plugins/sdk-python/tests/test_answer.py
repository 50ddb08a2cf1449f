"""Tests of outcomes and effects."""

import sys
import unittest

import world
from eventos import Drop, Header, Pass, Record, Reject, Replace, Retry, config, emit, log, store
from eventos.columns import of_records
from eventos.component import WitWorld
from wit_world.imports.log import Level
from componentize_py_types import Err


def answer(handle, *tipos):
    """Returns the outcomes of Eventos with these tipos. An empty tipo makes a tombstone."""
    world.handler.handle = handle
    records = ((tipo, Record(b"{}" if tipo else None, key=tipo), 0) for tipo in tipos)
    return WitWorld().handle(world.batch(*records))


class Answering(unittest.TestCase):
    def test_records_are_written_as_the_docs_say(self):
        records = [Record("{..1}", key="k", headers=(Header("h", b"x"),), timestamp=1700000000000), Record("{..2}")]
        self.assertEqual(of_records(records), world.docs_example().records)

    def test_every_outcome_has_its_columns(self):
        part = Record("{}", key=b"").with_header("ñ", "1").with_header("z", None)
        outcomes = {
            "pass": Pass(),
            "drop": Drop(),
            "two": Replace([part, Record(None, key="k")]),
            "none": Replace(),
            "retry": Retry("ocupado, ñ"),
            "reject": Reject("wrong"),
        }
        tipos = ["reject", "two", "pass", "none", "retry", "drop", "two"]
        columns = answer(lambda evento: outcomes[evento.tipo], *tipos)
        self.assertEqual(list(columns.kinds), [4, 2, 0, 2, 3, 1, 2])
        self.assertEqual(columns.reasons, world.texts("wrong", "ocupado, ñ"))
        self.assertEqual(columns.replacement_ends, [2, 2, 4])
        twice = [part, Record(None, key="k")] * 2
        self.assertEqual(columns.replacements, of_records(twice))
        self.assertEqual(list(columns.replacements.flags), [0, world.NULL_VALUE] * 2)
        self.assertEqual(list(columns.replacements.header_nulls), [0, 1] * 2)

    def test_effects_cross_once_a_batch(self):
        def handle(evento):
            store.append(evento)
            emit.send(evento.tipo or "gone", evento, Record(evento.id))
            log.warn(f"saw {evento.id}")
            return Pass()

        with world.Host() as host:
            answer(handle, "a", "", "b", "a")
            answer(handle, "c")
        self.assertEqual(host.stored, [[0, 2, 3], [0]])
        sent = [("a", [0, 3], "03"), ("gone", [1], "1"), ("b", [2], "2"), ("c", [0], "0")]
        expected = [(topic, causes, of_records(Record(value) for value in values)) for topic, causes, values in sent]
        self.assertEqual(host.emitted, expected)
        self.assertEqual(host.logged[1], (Level.WARN, 1, "saw 1"))

    def test_an_exception_is_logged_in_one_line_and_goes_on(self):
        def handle(evento):
            raise ValueError("no\nluck")

        with world.Host() as host, self.assertRaises(ValueError):
            answer(handle, "a")
        (level, index, line), = host.logged
        self.assertEqual((level, index), (Level.ERROR, 0))
        self.assertRegex(line, r"^test_answer\.py:\d+: ValueError: no luck$")

    def test_what_is_no_outcome_is_refused(self):
        with world.Host(), self.assertRaisesRegex(TypeError, "None, which is not an outcome"):
            answer(lambda evento: None, "a")

    def test_a_mistake_is_refused_where_it_is_made_and_named(self):
        text = '{"id":1,"tipo":"t"}'
        mistakes = [
            (lambda e: Replace([text]), "TypeError: not a Record, but str: "),
            (lambda e: Replace([{"id": 1}]), "TypeError: not a Record, but dict: .*Record.of_json"),
            (lambda e: Replace(Record(text)), "TypeError: Replace takes a list of Records, not Record: "),
            (lambda e: Replace(text), "TypeError: Replace takes a list of Records, not str: "),
            (lambda e: Replace([Record({"id": 1})]), "TypeError: the value of a record must be .* not dict: .*of_json"),
            (lambda e: Replace([Record(text, key=7)]), "TypeError: the key of a record must be .* not int: 7"),
            (lambda e: Replace([Record(text, timestamp=1.5)]), "TypeError: the timestamp .* not float: 1.5"),
            (lambda e: Replace([Record(text, timestamp=True)]), "TypeError: the timestamp .* not bool: True"),
            (lambda e: Replace([Record(text, timestamp=-2)]), "ValueError: the timestamp .* not -2"),
            (lambda e: Replace([Record(text, timestamp=1 << 63)]), "ValueError: the timestamp "),
            (lambda e: Replace([Record(text, headers={"a": "b"})]), "TypeError: the headers .* not dict: "),
            (lambda e: Replace([Record(text, headers=["ab"])]), "TypeError: a header .* not str: 'ab'"),
            (lambda e: Replace([Record(text, headers=[("a", 1)])]), "TypeError: the header 'a' .* not int: 1"),
            (lambda e: Replace([Record(text, headers=[(b"a", "1")])]), "TypeError: the name of a header .* not bytes"),
            (lambda e: Replace([Record("\ud800")]), "UnicodeEncodeError: .*surrogates not allowed"),
            (lambda e: Replace([Record.of_json({"mag": float("inf")})]), "ValueError: Out of range float"),
            (lambda e: Reject(None), "TypeError: Reject takes the reason as .* not NoneType: None"),
            (lambda e: Retry(5), "TypeError: Retry takes the reason as .* not int: 5"),
            (lambda e: emit.send("t", e, {"id": 1}), "TypeError: not a Record, but dict: "),
            (lambda e: emit.send(b"t", e, Record(text)), "TypeError: the topic must be str, not bytes: "),
            (lambda e: emit.send("t", 0, Record(text)), "TypeError: the cause must be the Evento, not int: 0"),
            (lambda e: store.append("x"), "TypeError: the argument of store.append must be the Evento, not str: 'x'"),
            (lambda e: config.get(1), "TypeError: the key of a setting must be str, not int: 1"),
            (lambda e: sys.exit("done"), "SystemExit: done"),
        ]
        for handle, message in mistakes:
            with self.subTest(message), world.Host() as host, self.assertRaises(Exception):
                answer(handle, "a")
            # The last line names the author's file, even though the SDK noticed the mistake, and has the index.
            level, index, line = host.logged[-1]
            self.assertEqual((level, index), (Level.ERROR, 0))
            self.assertRegex(line, rf"^test_answer\.py:\d+: {message}")

    def test_an_evento_of_an_earlier_batch_has_no_effects(self):
        with world.Host():
            kept = []
            answer(lambda evento: kept.append(evento) or Pass(), "a")
            with self.assertRaisesRegex(ValueError, "an Evento of an earlier batch"):
                answer(lambda evento: store.append(kept[0]), "a")

    def test_a_reason_may_be_an_exception_and_a_message_anything(self):
        def handle(evento):
            log.info(5)
            log.warn("\ud800")
            return Reject(ValueError("no luck"))

        with world.Host() as host:
            columns = answer(handle, "a")
        self.assertEqual(columns.reasons, world.texts("ValueError: no luck"))
        self.assertEqual([line for _, _, line in host.logged], ["5", "\\ud800"])

    def test_an_evento_may_replace_itself(self):
        columns = answer(lambda evento: Replace([evento]), "a")
        self.assertEqual(columns.replacements, of_records([Record(b"{}", key="a")]))


class Starting(unittest.TestCase):
    def tearDown(self):
        world.handler.__dict__.pop("init", None)

    def test_init_may_be_left_out_and_may_refuse(self):
        self.assertIsNone(WitWorld().init())

        def init():
            if config.get("alert") is None:
                raise ValueError("the setting `alert` is missing")

        world.handler.init = init
        with world.Host(), self.assertRaises(Err) as refused:
            WitWorld().init()
        self.assertEqual(refused.exception.value, "the setting `alert` is missing")
        with world.Host(alert="red", b="1"):
            self.assertIsNone(WitWorld().init())
            self.assertEqual(config.all(), {"alert": "red", "b": "1"})
