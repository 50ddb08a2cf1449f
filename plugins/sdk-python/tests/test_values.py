"""Tests of JSON pointers and of settings with types."""

import enum
import unittest
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import world
from eventos import Evento, Record, config, pointer

#: The tests of the SDK for Rust have the same tables.
DOCUMENT = ' {"a": {"b" : [1.10, {"c":1e400}]}, "":7,"x/y":"\\u00e1" , "k":1, "k" : 2 } '


class Pointers(unittest.TestCase):
    def test_a_pointer_finds_the_text_of_a_value(self):
        for path, found in {
            "": DOCUMENT.strip(),
            "/a/b": '[1.10, {"c":1e400}]',
            "/a/b/0": "1.10",
            "/a/b/1/c": "1e400",
            "/": "7",
            "/x~1y": '"\\u00e1"',
            "/k": "2",
            "/d": None,
            "/a/b/2": None,
            "/a/b/00": None,
            "/a/b/-": None,
            "/k/x": None,
        }.items():
            self.assertEqual(pointer.get(DOCUMENT, path), found, path)
        self.assertEqual(pointer.get('{"\\u0061\\"":123456789012345678901234567890}', '/a"'), "123456789012345678901234567890")

    def test_what_is_set_leaves_the_rest_byte_for_byte(self):
        for path, text, old, new in [
            ("/a/b/1/c", "-0", "1e400", "-0"),
            ("/a/b/0", "[ ]", "1.10", "[ ]"),
            ("/a", "null", '{"b" : [1.10, {"c":1e400}]}', "null"),
            ("/", "8", "7", "8"),
            ("/k", "3", "2", "3"),
            ('/ñ"', "1e999", " } ", ',"ñ\\"":1e999 } '),
            ("/a/b/-", "2", "]", ",2]"),
            ("/a/b/2", "2", "]", ",2]"),
        ]:
            before, _, after = DOCUMENT.rpartition(old)
            self.assertEqual(pointer.set(DOCUMENT, path, text), before + new + after, path)
        self.assertEqual(pointer.set("{ }", "/a", "1"), '{"a":1 }')
        self.assertEqual(pointer.set('{"a":[ ]}', "/a/0", "1"), '{"a":[1 ]}')
        self.assertEqual(pointer.set("1", "", "true"), "true")

    def test_what_cannot_be_set_is_an_error(self):
        for path, text, error in [
            ("/c/d", "1", "nothing at the parent of '/c/d'"),
            ("/a/b/3", "1", "nothing can be added at '/a/b/3'"),
            ("/k/x", "1", "nothing can be added at '/k/x'"),
            ("/a", "NaN", "'NaN' is not JSON"),
            ("/a", "01", "'01' is not JSON"),
            ("/a", "", "'' is not JSON"),
            ("a", "1", "'a' is not a JSON pointer"),
        ]:
            with self.subTest(path), self.assertRaisesRegex(ValueError, error):
                pointer.set(DOCUMENT, path, text)

    def test_an_evento_has_both(self):
        text = b'{"id":1,"tipo":"t","mag":1.10,"big":1e400}'
        records = [Record(text), Record(None, key="k")]
        batch = world.batch(*(("t", record, 0) for record in records))
        evento, tombstone = Evento(batch, 0), Evento(batch, 1)
        self.assertEqual((evento.at("/big"), tombstone.at("/big")), ("1e400", None))
        self.assertEqual(evento.set_at("/mag", "2.50"), '{"id":1,"tipo":"t","mag":2.50,"big":1e400}')
        with self.assertRaisesRegex(ValueError, "a tombstone has no JSON"):
            tombstone.set_at("/mag", "1")


class Direction(enum.Enum):
    UP = "up"
    DOWN = "down"


@dataclass
class Area:
    name: str
    radius: float = 1.0


@dataclass
class Settings:
    name: str
    strict: bool = True
    least: float = 5.0
    count: int = 0
    tipos: list[str] = field(default_factory=list)
    topics: dict[str, int] = field(default_factory=dict)
    level: Literal["low", "high"] = "low"
    way: Direction = Direction.UP
    area: Optional[Area] = None
    anything: Any = None


class TypedSettings(unittest.TestCase):
    def read(self, **settings):
        with world.Host(**settings):
            return config.typed(Settings)

    def test_the_type_says_what_a_text_is(self):
        settings = self.read(
            name="1.0",
            strict="false",
            least="4",
            count="12345678901234567890",
            tipos='["a","b"]',
            topics='{"x":1}',
            level="high",
            way="down",
            area='{"name":"Lima"}',
            anything='{"a":1}',
        )
        area = Area("Lima")
        expected = Settings("1.0", False, 4.0, 12345678901234567890, ["a", "b"], {"x": 1}, "high", Direction.DOWN, area, {"a": 1})
        self.assertEqual(settings, expected)
        self.assertIs(type(settings.least), float)
        self.assertEqual(self.read(name="n"), Settings("n"))

    def test_what_does_not_fit_is_named(self):
        for settings, error in [
            ({}, "missing key `name`"),
            ({"name": "n", "nmae": "n"}, "unknown key `nmae`; expected one of name, strict, "),
            ({"name": "n", "strict": "0"}, "`strict` is 0; expected true or false"),
            ({"name": "n", "strict": "no"}, '`strict` is "no"; expected true or false'),
            ({"name": "n", "least": "much"}, '`least` is "much"; expected a number'),
            ({"name": "n", "least": "true"}, "`least` is true; expected a number"),
            ({"name": "n", "count": "1.5"}, "`count` is 1.5; expected an integer"),
            ({"name": "n", "tipos": "[1]"}, "`tipos` is 1; expected a string"),
            ({"name": "n", "tipos": "a"}, '`tipos` is "a"; expected a list'),
            ({"name": "n", "level": "mid"}, "`level` is \"mid\"; expected 'low' or 'high'"),
            ({"name": "n", "way": "left"}, "`way` is \"left\"; expected 'up' or 'down'"),
            ({"name": "n", "area": "{}"}, "missing key `name`"),
        ]:
            with self.subTest(error), self.assertRaises(ValueError) as raised:
                self.read(**settings)
            self.assertIn(f"invalid settings: {error}", str(raised.exception))
