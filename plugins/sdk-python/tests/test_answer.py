"""Tests of outcomes and effects."""

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
