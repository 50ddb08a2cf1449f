"""Tests of reading the columns."""

import unittest

import world
from eventos import Evento, Header, Record


def read(*eventos):
    batch = world.batch(*eventos)
    return [Evento(batch, i) for i in range(len(eventos))]


class Reading(unittest.TestCase):
    def test_the_example_of_the_docs(self):
        first, second = (Evento(world.docs_example(), i) for i in range(2))
        self.assertEqual((first.id, first.tipo, first.key, first.value), ("a", "sismo", b"k", b"{..1}"))
        self.assertEqual(first.headers, [Header("h", b"x")])
        self.assertEqual((first.timestamp, first.offset, first.index), (1700000000000, 41, 0))
        self.assertEqual((second.id, second.key, second.value), ("b", None, b"{..2}"))
        self.assertEqual((second.headers, second.timestamp), ([], None))
        self.assertEqual((second.topic, second.partition, second.offset), ("eventos", 3, 42))

    def test_records_are_copied_whole(self):
        headers = (Header("á", b"1"), Header("b", None), Header("á", b"\xff\x00"), Header("", b""))
        records = [
            Record(b"v", key=b"k\xff", headers=headers, timestamp=0),
            Record(b"", key=b""),
            Record(None, key=b"gone", headers=headers[:1]),
            Record("ñ€😀".encode(), timestamp=2**53 + 1),
        ]
        eventos = read(*(("sismo", record, 0) for record in records))
        self.assertEqual([evento.to_record() for evento in eventos], records)

    def test_the_last_header_of_a_name_is_taken(self):
        headers = (Header("a", b"1"), Header("b", b"2"), Header("a", b"3"), Header("b", None))
        (evento,) = read(("sismo", Record(b"v", headers=headers), 0))
        self.assertEqual([evento.header(name) for name in "abc"], [b"3", None, None])

    def test_flags_are_told_apart(self):
        integer, stamped, tombstone = read(
            ("ñ€😀", Record(b'{"a": [1.5, "\\u00e1"]}'), world.INTEGER_ID),
            ("x", Record(b"1", timestamp=5), world.LOG_APPEND_TIME),
            ("", Record(None, key=b"k"), 0),
        )
        self.assertEqual((integer.id_is_integer, integer.log_append_time, integer.is_tombstone), (True, False, False))
        self.assertEqual((stamped.id_is_integer, stamped.log_append_time, stamped.is_tombstone), (False, True, False))
        self.assertEqual((tombstone.is_tombstone, tombstone.value, tombstone.json()), (True, None, None))
        self.assertEqual((integer.tipo, integer.json()), ("ñ€😀", {"a": [1.5, "á"]}))
