// Tests of outcomes and effects.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { NULL_KEY, NULL_VALUE, batch, bytes, empty, host, plain, sdk, texts, docsExample } from "./world.mjs";

const { config, drop, emit, handler, log, pass, reject, replace, retry, store } = sdk;

beforeEach(() => empty());

/** Returns the outcomes of Eventos with these tipos. An empty tipo makes a tombstone. */
function answer(handle, ...tipos) {
  const evento = (tipo) => [tipo, { key: bytes(tipo), value: tipo === "" ? null : bytes("{}") }];
  return handler(handle).handle(batch(...tipos.map(evento)));
}

test("records are written as the docs say", () => {
  const first = { key: "k", value: "{..1}", headers: [{ name: "h", value: "x" }], timestamp: 1700000000000 };
  const { replacements } = answer(() => replace([first, { value: "{..2}" }]), "a");
  assert.deepEqual(plain(replacements), plain(docsExample().records));
});

test("every outcome has its columns", () => {
  const part = { key: "", value: "{}", headers: [{ name: "ñ", value: "1" }, { name: "z", value: null }] };
  const outcomes = {
    pass: pass(),
    drop: drop(),
    two: replace([part, { key: "k", value: null }]),
    none: replace([]),
    retry: retry("ocupado, ñ"),
    reject: reject("wrong"),
  };
  const tipos = ["reject", "two", "pass", "none", "retry", "drop", "two"];
  const columns = answer((evento) => outcomes[evento.tipo], ...tipos);
  assert.deepEqual(plain(columns.kinds), [4, 2, 0, 2, 3, 1, 2]);
  assert.deepEqual(plain(columns.reasons), plain(texts("wrong", "ocupado, ñ")));
  assert.deepEqual(plain(columns.replacementEnds), [2, 2, 4]);
  assert.deepEqual(plain(columns.replacements), {
    bytes: plain(bytes("{}ñ1zk{}ñ1zk")),
    keyEnds: [0, 7, 7, 14],
    valueEnds: [2, 7, 9, 14],
    flags: [0, NULL_VALUE, 0, NULL_VALUE],
    timestamps: [-1, -1, -1, -1],
    headerEnds: [2, 2, 4, 4],
    headerNameEnds: [4, 6, 11, 13],
    headerValueEnds: [5, 6, 12, 13],
    headerNulls: [0, 1, 0, 1],
  });
});

test("effects cross once a batch", () => {
  const handle = (evento) => {
    store.append(evento);
    emit.send(evento.tipo || "gone", evento, { value: evento.id });
    log.warn(`saw ${evento.id}`);
    return pass();
  };
  answer(handle, "a", "", "b", "a");
  answer(handle, "c");
  assert.deepEqual(host.stored, [[0, 2, 3], [0]]);
  const sent = host.emitted.map(({ topic, sources, records }) => [topic, sources, plain(records.bytes)]);
  assert.deepEqual(sent, [
    ["a", [0, 3], plain(bytes("03"))],
    ["gone", [1], plain(bytes("1"))],
    ["b", [2], plain(bytes("2"))],
    ["c", [0], plain(bytes("0"))],
  ]);
  assert.deepEqual(plain(host.emitted[0].records.flags), [NULL_KEY, NULL_KEY]);
  assert.deepEqual(host.logged[1], { level: "warn", index: 1, message: "saw 1" });
});

test("what is thrown is logged in one line and goes on", () => {
  const wrong = () => {
    throw new RangeError("no\nluck");
  };
  assert.throws(() => answer(wrong, "a"), RangeError);
  const [{ level, index, message }] = host.logged;
  assert.deepEqual([level, index], ["error", 0]);
  assert.match(message, /^RangeError: no luck/);
  assert.ok(!message.includes("\n"));
});

test("what is no outcome is refused", () => {
  assert.throws(() => answer(() => undefined, "a"), /undefined is not an outcome/);
});

test("init may be left out and may refuse", () => {
  assert.equal(handler(pass).init(), undefined);
  const start = () => {
    if (config.get("alert") === null) throw new Error("the setting `alert` is missing");
  };
  // In the JavaScript binding of the component model, the thrown value is the error.
  assert.throws(() => handler(pass, start).init(), (thrown) => thrown === "the setting `alert` is missing");
  empty({ b: "1", alert: "red" });
  assert.equal(handler(pass, start).init(), undefined);
  assert.deepEqual(config.all(), [["alert", "red"], ["b", "1"]]);
});
