// Tests of random numbers: they follow from the record.

import assert from "node:assert/strict";
import { test } from "node:test";

import { batch, bytes, empty, plain, sdk } from "./world.mjs";

const { handler, pass } = sdk;

const SOURCES = {
  random: () => Math.random(),
  values: () => plain(crypto.getRandomValues(new Uint8Array(9))),
  words: () => plain(crypto.getRandomValues(new Uint32Array(2))),
  uuid: () => crypto.randomUUID(),
};

/** Returns two values of a source for each of these offsets, all in one batch. */
function draw(source, offsets, more = {}) {
  const drawn = [];
  const columns = batch(...offsets.map(() => ["t", { value: bytes("{}") }]));
  columns.offsets = BigInt64Array.from(offsets, BigInt);
  handler(() => (drawn.push([source(), source()]), pass())).handle({ ...columns, ...more });
  return drawn;
}

test("numbers differ, and a replay gives the same", () => {
  for (const [name, source] of Object.entries(SOURCES)) {
    const whole = draw(source, [0, 1, 2, 3, 4]);
    assert.equal(new Set(whole.flat().map(String)).size, 10, name);
    // In other batches, as a replay makes them.
    assert.deepEqual([...draw(source, [0, 1]), ...draw(source, [2, 3, 4])], whole, name);
    assert.notDeepEqual(draw(source, [0], { partition: 1 }), whole.slice(0, 1), name);
    assert.notDeepEqual(draw(source, [0], { topic: "other" }), whole.slice(0, 1), name);
  }
});

test("records that share an offset have numbers of their own", () => {
  assert.equal(new Set(draw(Math.random, [7, 7]).flat()).size, 4);
});

test("numbers are spread evenly", () => {
  const offsets = Array.from({ length: 2_000 }, (_, i) => i);
  const firsts = draw(Math.random, offsets).map(([first]) => first);
  for (let tenth = 0; tenth < 10; tenth++) {
    const count = firsts.filter((number) => Math.floor(number * 10) === tenth).length;
    assert.ok(count > 140 && count < 260, `${count} of 2000`);
  }
});

test("each instance has numbers of its own in init", () => {
  const drawn = [];
  const { init } = handler(pass, () => drawn.push(Math.random()));
  empty();
  init();
  init();
  assert.notEqual(drawn[0], drawn[1]);
});

test("what cannot be filled is refused", () => {
  assert.throws(() => crypto.getRandomValues(new Float64Array(1)), TypeError);
  assert.throws(() => crypto.getRandomValues([1]), TypeError);
  assert.throws(() => crypto.getRandomValues(new Uint8Array(65_537)), RangeError);
  assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
