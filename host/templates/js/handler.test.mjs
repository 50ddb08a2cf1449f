// Tests of the handler, without WebAssembly: node --test

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./sdk/testing.mjs";

const run = await load(new URL("handler.js", import.meta.url));
const evento = (mag, tipo = "earthquake") => ({ value: JSON.stringify({ id: 1, tipo, mag }) });

test("weak earthquakes are dropped and other Eventos pass", () => {
  const { outcomes } = run([evento(3.9), evento(1, "explosion")], { least: "4.0" });
  assert.deepEqual(outcomes, [{ outcome: "drop" }, { outcome: "pass" }]);
});

test("strong earthquakes are marked and emitted", () => {
  const { outcomes, emitted } = run([{ ...evento(4), key: "k" }], { least: "4.0", alerts: "alerts" });
  const [record] = outcomes[0].records;
  assert.equal(record.value, '{"id":1,"tipo":"earthquake","mag":4,"level":"strong"}');
  assert.deepEqual([record.key, record.headers], ["k", [{ name: "marked-by", value: "{{handler}}" }]]);
  const [{ topic, record: alert }] = emitted;
  assert.deepEqual([topic, alert.key, alert.headers], ["alerts", "1", [{ name: "mag", value: "4" }]]);
});

test("an earthquake without magnitude is rejected", () => {
  assert.deepEqual(run([evento(null)]).outcomes, [{ outcome: "reject", reason: "the earthquake has no magnitude" }]);
});

test("invalid settings are refused", () => {
  assert.throws(() => run([], { least: "much" }), (thrown) => /`least`/.test(thrown));
});
