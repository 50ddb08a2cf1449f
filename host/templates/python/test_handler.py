"""Tests of the handler, without WebAssembly: PYTHONPATH=sdk python3 -m unittest"""

import unittest

import handler
from eventos import Drop, Header, Pass, Record, Reject, testing


def evento(mag, tipo="earthquake"):
    return Record.of_json({"id": 1, "tipo": tipo, "mag": mag}, key="k")


class Handling(unittest.TestCase):
    def test_weak_earthquakes_are_dropped_and_other_eventos_pass(self):
        run = testing.run(handler, [evento(3.9), evento(1.0, "explosion")], {"least": "4.0"})
        self.assertEqual(run.outcomes, [Drop(), Pass()])

    def test_strong_earthquakes_are_marked_and_emitted(self):
        run = testing.run(handler, [evento(4.0)], {"least": "4.0", "alerts": "alerts"})
        (record,) = run.outcomes[0].records
        self.assertEqual(record.value, b'{"id":1,"tipo":"earthquake","mag":4.0,"level":"strong"}')
        self.assertEqual((record.key, record.headers), (b"k", (Header("marked-by", b"{{handler}}"),)))
        ((topic, cause, alert),) = run.emitted
        self.assertEqual((topic, cause, alert.key, alert.headers), ("alerts", 0, b"1", (Header("mag", b"4.0"),)))

    def test_an_earthquake_without_magnitude_is_rejected(self):
        run = testing.run(handler, [evento(None)])
        self.assertEqual(run.outcomes, [Reject("the earthquake has no magnitude")])

    def test_invalid_settings_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`least`"):
            testing.run(handler, [], {"least": "much"})
