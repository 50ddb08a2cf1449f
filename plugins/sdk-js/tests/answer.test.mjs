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

test("a mistake is refused where it is made, and named", () => {
  const text = '{"id":1,"tipo":"t"}';
  const record = { value: text };
  const mistakes = [
    [() => replace([text]), /records\[0\] is the string/],
    [() => replace([{ key: "k" }]), /records\[0\] has no member `value`; set it to null/],
    [() => replace([{ value: undefined }]), /records\[0\]\.value is undefined; it must be a string, a Uint8Array or null/],
    [() => replace([record, { value: { id: 1 } }]), /records\[1\]\.value is the object {id: 1}/],
    [() => replace([{ value: [1, 2] }]), /\.value is the array \[1, 2\]/],
    [() => replace([{ value: new ArrayBuffer(2) }]), /\.value is a ArrayBuffer/],
    [() => replace([{ value: "\ud800" }]), /\.value has a lone surrogate/],
    [() => replace([{ ...record, key: undefined }]), /\.key is undefined/],
    [() => replace([{ ...record, key: 7 }]), /\.key is the number 7/],
    [() => replace([{ ...record, header: [] }]), /the member `header`/],
    [() => replace([{ ...record, headers: { a: "b" } }]), /\.headers is the object {a: "b"}; it must be an array/],
    [() => replace([{ ...record, headers: [["a", "b"]] }]), /\.headers\[0\] is the array \["a", "b"\]; a header is { name, value }/],
    [() => replace([{ ...record, headers: [{ name: "a" }] }]), /\.headers\[0\] is the object/],
    [() => replace([{ ...record, headers: [{ name: 1, value: "b" }] }]), /\.headers\[0\]\.name is the number 1/],
    [() => replace([{ ...record, headers: [{ name: "a", value: 1 }] }]), /\.headers\[0\]\.value is the number 1/],
    [() => replace([{ ...record, timestamp: NaN }]), /\.timestamp is the number NaN; it must be a whole number/],
    [() => replace([{ ...record, timestamp: 1.5 }]), /\.timestamp is the number 1\.5/],
    [() => replace([{ ...record, timestamp: -2 }]), /\.timestamp is the number -2/],
    [() => replace([{ ...record, timestamp: "5" }]), /\.timestamp is the string "5"/],
    [() => replace([{ ...record, timestamp: new Date() }]), /\.timestamp is a Date; .*getTime/],
    [() => replace(record), /replace takes an array of records, not the object/],
    [() => replace(text), /replace takes an array of records, not the string/],
    [() => replace(), /replace takes an array of records, not undefined/],
    [(e) => emit.send("t", e, { id: 1, tipo: "t" }), /the record has the member `id`; .*JSON\.stringify/],
    [(e) => emit.send(undefined, e, record), /the topic is undefined/],
    [(e) => emit.send("t", { index: 0 }, record), /the cause is the object/],
    [() => store.append({ index: 0, isTombstone: false }), /the argument of store\.append is the object/],
    [() => config.get(5), /the key of a setting is the number 5/],
    [() => reject(undefined), /reject takes the reason as a string or an Error, not undefined/],
    [() => retry({ why: "x" }), /retry takes the reason as a string or an Error, not the object {why: "x"}/],
    [() => ({ kind: 0 }), /the object {kind: 0} is not an outcome/],
    [async () => pass(), /a Promise is not an outcome; .*must not be async/],
  ];
  for (const [handle, message] of mistakes) {
    empty();
    assert.throws(() => answer(handle, "a"), message);
    const { level, index, message: line } = host.logged.at(-1);
    assert.deepEqual([level, index], ["error", 0]);
    assert.match(line, message);
    // It names the author's file, even though the SDK noticed the mistake.
    if (!line.includes("is not an outcome")) assert.match(line, / at .*answer\.test\.mjs:\d+/);
  }
});

test("an Evento of an earlier batch has no effects", () => {
  let kept;
  answer((evento) => ((kept = evento), pass()), "a");
  assert.throws(() => answer(() => store.append(kept), "a"), /an Evento of an earlier batch/);
});

test("an Evento may replace itself, and a reason may be an error", () => {
  const columns = answer((evento) => (evento.tipo === "a" ? replace([evento]) : reject(new RangeError("no luck"))), "a", "b");
  assert.deepEqual(plain(columns.replacements.bytes), plain(bytes("a{}")));
  assert.match(new TextDecoder().decode(columns.reasons.bytes), /^RangeError: no luck/);
});

test("whatever is logged is one well-formed text", () => {
  const circular = { name: "x" };
  circular.self = circular;
  const messages = [
    [[5], "5"],
    [["\ud800"], "\ufffd"],
    [["a", { b: [1, "c", null], d: undefined }, true], 'a {b: [1, "c", null], d: undefined} true'],
    [["%s is %d%%, %j", "x", "7", { a: 1 }, "y"], "x is 7%, {a: 1} y"],
    [[circular], '{name: "x", self: [circular]}'],
    [[new Map([["a", new Set([1n])]])], 'Map {"a" => Set {1n}}'],
    [[new TypeError("t", { cause: "c" })], '[TypeError: t (cause: "c")]'],
    [[Uint8Array.of(1, 2), new Date(0), Symbol("s")], "Uint8Array(2) [1, 2] 1970-01-01T00:00:00.000Z Symbol(s)"],
    [[{ get bad() { throw new Error("no"); } }], "[cannot be shown]"],
    [[{ a: { b: { c: { d: { e: 1 } } } } }], "{a: {b: {c: {d: {…}}}}}"],
    [[], ""],
  ];
  answer(() => (messages.forEach(([parts]) => log.info(...parts)), pass()), "a");
  assert.deepEqual(host.logged.map(({ message }) => message), messages.map(([, text]) => text));
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
