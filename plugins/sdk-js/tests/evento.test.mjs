// Tests of reading the columns.

import assert from "node:assert/strict";
import { test } from "node:test";

import { INTEGER_ID, LOG_APPEND_TIME, batch, bytes, plain, sdk, docsExample } from "./world.mjs";

const { Evento, decode, encode } = sdk;

function read(...eventos) {
  const columns = batch(...eventos);
  return eventos.map((_, i) => new Evento(columns, i));
}

test("the example of the docs", () => {
  const [first, second] = [0, 1].map((i) => new Evento(docsExample(), i));
  assert.deepEqual([first.id, first.tipo, first.text], ["a", "sismo", "{..1}"]);
  assert.deepEqual(plain([first.key, first.headers]), plain([bytes("k"), [{ name: "h", value: bytes("x") }]]));
  assert.deepEqual([first.timestamp, first.offset, first.index], [1700000000000, 41, 0]);
  assert.deepEqual([second.id, second.key, second.text], ["b", null, "{..2}"]);
  assert.deepEqual([second.headers, second.timestamp], [[], null]);
  assert.deepEqual([second.topic, second.partition, second.offset], ["eventos", 3, 42]);
});

test("records are copied whole", () => {
  const headers = [
    { name: "á", value: bytes("1") },
    { name: "b", value: null },
    { name: "á", value: Uint8Array.of(0xff, 0) },
    { name: "", value: bytes("") },
  ];
  const records = [
    { key: Uint8Array.of(0x6b, 0xff), value: bytes("v"), headers, timestamp: 0 },
    { key: bytes(""), value: bytes(""), headers: [], timestamp: 1 },
    { key: bytes("gone"), value: null, headers: headers.slice(0, 1), timestamp: 2 },
    { key: null, value: bytes("ñ€😀"), headers: [], timestamp: 3 },
  ];
  const eventos = read(...records.map((record) => ["sismo", record]));
  assert.deepEqual(plain(eventos.map((evento) => evento.toRecord())), plain(records));
});

test("the last header of a name is taken", () => {
  const headers = [
    { name: "a", value: bytes("1") },
    { name: "b", value: bytes("2") },
    { name: "a", value: bytes("3") },
    { name: "b", value: null },
  ];
  const [evento] = read(["sismo", { value: bytes("v"), headers }]);
  assert.deepEqual(plain(["a", "b", "c"].map((name) => evento.header(name))), [[0x33], null, null]);
});

test("flags are told apart", () => {
  const [integer, stamped, tombstone] = read(
    ["ñ€😀", { value: bytes('{"a": [1.5, "\\u00e1"]}') }, INTEGER_ID],
    ["x", { value: bytes("1"), timestamp: 5 }, LOG_APPEND_TIME],
    ["", { key: bytes("k"), value: null }],
  );
  const flags = ({ idIsInteger, logAppendTime, isTombstone }) => [idIsInteger, logAppendTime, isTombstone];
  assert.deepEqual(flags(integer), [true, false, false]);
  assert.deepEqual(flags(stamped), [false, true, false]);
  assert.deepEqual(flags(tombstone), [false, false, true]);
  assert.deepEqual([tombstone.value, tombstone.text, tombstone.json()], [null, null, null]);
  assert.deepEqual([integer.tipo, integer.json()], ["ñ€😀", { a: [1.5, "á"] }]);
});

test("UTF-8 goes both ways, however long", () => {
  for (const text of ["", "ascii", "ñ€😀\0", "€".repeat(5_000), "a".repeat(9_000)]) {
    assert.deepEqual(encode(text), bytes(text));
    assert.equal(decode(bytes(text)), text);
  }
  assert.deepEqual(encode("\ud800"), bytes("\ufffd"));
});
