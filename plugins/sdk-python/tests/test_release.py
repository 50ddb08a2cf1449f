"""Tests of the patch that has bytes released, on a module that calls the runtime as glue does."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import release  # noqa: E402
from release import _leb, _section  # noqa: E402

ENV = b"\x03env"


def vector(*entries):
    return _leb(len(entries)) + b"".join(entries)


def body(code):
    return _leb(len(code)) + code


def glue(code, fetch_type=b"\x60\x03\x7f\x7f\x7f\x01\x7f"):
    """Returns a module that imports the runtime's functions and has one function with this code."""
    types = vector(b"\x60\x00\x00", b"\x60\x05\x7f\x7f\x7f\x7f\x7f\x00", fetch_type)
    imports = vector(
        ENV + b"\x06memory\x02\x00\x01",
        ENV + _leb(len(release.RELEASE)) + release.RELEASE + b"\x00\x01",
        ENV + _leb(len(release.FETCH)) + release.FETCH + b"\x00\x02",
    )
    return b"\0asm\1\0\0\0" + b"".join(
        [_section(1, types), _section(2, imports), _section(3, vector(b"\x00")), _section(10, vector(body(code)))]
    )


def component(*modules):
    return b"\0asm\x0d\0\1\0" + b"".join(_section(1, module) for module in modules)


#: i32.const 16; i32.const 1 (whose bytes 10 01 would be a call); drop; drop; three arguments; call FETCH; drop
CODE = b"\x00\x41\x10\x41\x01\x1a\x1a\x41\x00\x41\x00\x41\x00\x10\x01\x1a\x0b"


class Patching(unittest.TestCase):
    def test_only_calls_of_the_function_are_redirected(self):
        (_, module), = release._sections(release.patch(component(glue(CODE))))
        sections = dict(release._sections(module))
        first, added = release._vector(sections[release.CODE], release._skip_body)
        self.assertEqual(first, body(CODE.replace(b"\x10\x01\x1a", b"\x10\x03\x1a")))
        self.assertIn(b"\x10\x01\x21\x03", added)
        self.assertIn(b"\x41\x01\x41\x01\x10\x00", added)
        self.assertEqual(sections[release.FUNCTIONS], vector(b"\x00", b"\x02"))

    def test_a_component_of_another_version_is_refused(self):
        other = b"\0asm\1\0\0\0"
        for modules, why in [
            ([other], "has 0 modules of glue"),
            ([glue(CODE), glue(CODE)], "has 2 modules of glue"),
            ([glue(CODE, fetch_type=b"\x60\x02\x7f\x7f\x01\x7f")], "other functions"),
            ([glue(b"\x00\x06\x40\x0b\x0b")], "the instruction 0x6"),
        ]:
            with self.subTest(why), self.assertRaisesRegex(release.Unsupported, why):
                release.patch(component(*modules))
