"""Tests of random numbers: they follow from the record."""

import os
import random
import secrets
import unittest
import uuid
from random import random as imported

import world
from eventos import Pass, Record
from eventos.component import WitWorld

OWN = random.Random()

SOURCES = {
    "random": lambda: random.random(),
    "imported": lambda: imported(),
    "gauss": lambda: random.gauss(),
    "choice": lambda: random.choice(range(10**9)),
    "shuffle": lambda: random.sample(range(10**9), 3),
    "own": lambda: OWN.random(),
    "new": lambda: random.Random().random(),
    "urandom": lambda: os.urandom(9),
    "secrets": lambda: secrets.token_hex(),
    "system": lambda: random.SystemRandom().random(),
    "uuid4": lambda: uuid.uuid4(),
}


def draw(source, offsets, handler="probe", **other):
    """Returns two values of a source for each of these offsets, all in one batch."""
    drawn = []
    world.handler.handle = lambda evento: drawn.append((source(), source())) or Pass()
    batch = world.batch(*(("t", Record(b"{}"), 0) for _ in offsets))
    batch.offsets = list(offsets)
    for name, value in other.items():
        setattr(batch, name, value)
    component = WitWorld()
    with world.Host(**{"eventos.handler": handler}):
        from eventos import randomness

        randomness._stream.handler = None
        component.init()
        component.handle(batch)
    return drawn


class Drawing(unittest.TestCase):
    def test_numbers_differ_and_a_replay_gives_the_same(self):
        for name, source in SOURCES.items():
            with self.subTest(name):
                whole = draw(source, range(5))
                values = [value for pair in whole for value in pair]
                self.assertEqual(len({str(value) for value in values}), 10)
                # In other batches, as a replay makes them.
                self.assertEqual(draw(source, range(2)) + draw(source, range(2, 5)), whole)
                self.assertNotEqual(draw(source, [0], partition=1), whole[:1])
                self.assertNotEqual(draw(source, [0], topic="other"), whole[:1])
                self.assertNotEqual(draw(source, [0], handler="other"), whole[:1])

    def test_records_that_share_an_offset_have_numbers_of_their_own(self):
        first, second = draw(random.random, [7, 7])
        self.assertEqual(len({*first, *second}), 4)

    def test_a_generator_with_a_seed_of_the_author_goes_on(self):
        seeded = random.Random(5)
        values = [value for pair in draw(seeded.random, range(3)) for value in pair]
        again = random.Random(5)
        self.assertEqual(values, [again.random() for _ in values])

    def test_each_instance_has_numbers_of_its_own_in_init(self):
        drawn = []
        world.handler.init = lambda: drawn.append(random.random())
        try:
            with world.Host():
                WitWorld().init()
                WitWorld().init()
        finally:
            del world.handler.init
        self.assertEqual(len(set(drawn)), 2)
