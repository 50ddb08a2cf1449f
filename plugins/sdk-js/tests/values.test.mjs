// Tests of JSON pointers and of settings with types.

import assert from "node:assert/strict";
import { test } from "node:test";

import { batch, bytes, empty, sdk } from "./world.mjs";

const { Evento, config, pointer } = sdk;

// The tests of the SDK for Rust have the same tables.
const DOCUMENT = ' {"a": {"b" : [1.10, {"c":1e400}]}, "":7,"x/y":"\\u00e1" , "k":1, "k" : 2 } ';

test("a pointer finds the text of a value", () => {
  const found = {
    "": DOCUMENT.trim(),
    "/a/b": '[1.10, {"c":1e400}]',
    "/a/b/0": "1.10",
    "/a/b/1/c": "1e400",
    "/": "7",
    "/x~1y": '"\\u00e1"',
    "/k": "2",
    "/d": null,
    "/a/b/2": null,
    "/a/b/00": null,
    "/a/b/-": null,
    "/k/x": null,
  };
  for (const [path, text] of Object.entries(found)) assert.equal(pointer.get(DOCUMENT, path), text, path);
  const escaped = String.raw`{"a}\\":1,"\u0061\"":[{"]":"\"}"}, 123456789012345678901234567890]}`;
  assert.equal(pointer.get(escaped, '/a"/1'), "123456789012345678901234567890");
  assert.equal(pointer.get(escaped, "/a}\\"), "1");
});

test("what is set leaves the rest byte for byte", () => {
  for (const [path, text, old, now] of [
    ["/a/b/1/c", "-0", "1e400", "-0"],
    ["/a/b/0", "[ ]", "1.10", "[ ]"],
    ["/a", "null", '{"b" : [1.10, {"c":1e400}]}', "null"],
    ["/", "8", "7", "8"],
    ["/k", "3", "2", "3"],
    ['/ñ"', "1e999", " } ", ',"ñ\\"":1e999 } '],
    ["/a/b/-", "2", "]", ",2]"],
    ["/a/b/2", "2", "]", ",2]"],
  ]) {
    const at = DOCUMENT.lastIndexOf(old);
    const expected = DOCUMENT.slice(0, at) + now + DOCUMENT.slice(at + old.length);
    assert.equal(pointer.set(DOCUMENT, path, text), expected, path);
  }
  assert.equal(pointer.set("{ }", "/a", "1"), '{"a":1 }');
  assert.equal(pointer.set('{"a":[ ]}', "/a/0", "1"), '{"a":[1 ]}');
  assert.equal(pointer.set("1", "", "true"), "true");
});

test("what cannot be set is an error", () => {
  for (const [path, text, error] of [
    ["/c/d", "1", /nothing at the parent of "\/c\/d"/],
    ["/a/b/3", "1", /nothing can be added at "\/a\/b\/3"/],
    ["/k/x", "1", /nothing can be added at "\/k\/x"/],
    ["/a", "NaN", /"NaN" is not JSON/],
    ["/a", "", /"" is not JSON/],
    ["/a", 5, /the JSON is the number 5; it must be a string/],
    ["a", "1", /"a" is not a JSON pointer/],
    [undefined, "1", /undefined is not a JSON pointer/],
  ]) {
    assert.throws(() => pointer.set(DOCUMENT, path, text), error, path);
  }
});

test("an Evento has both", () => {
  const text = '{"id":1,"tipo":"t","mag":1.10,"big":1e400,"id64":9223372036854775807}';
  const columns = batch(["t", { value: bytes(text) }], ["", { value: null }]);
  const [evento, tombstone] = [new Evento(columns, 0), new Evento(columns, 1)];
  assert.deepEqual([evento.at("/big"), evento.at("/id64"), tombstone.at("/big")], ["1e400", "9223372036854775807", null]);
  assert.equal(evento.setAt("/mag", "2.50"), text.replace("1.10", "2.50"));
  assert.throws(() => tombstone.setAt("/mag", "1"), /a tombstone has no JSON/);
});

test("the type says what a text is", () => {
  empty({ name: "1.0", strict: "false", least: "4.5", tipos: '["a"]', topics: '{"x":1}', label: "true" });
  const wanted = { name: String, strict: true, least: 5, tipos: Array, topics: {}, label: "none", other: 7 };
  const expected = { name: "1.0", strict: false, least: 4.5, tipos: ["a"], topics: { x: 1 }, label: "true", other: 7 };
  assert.deepEqual(config.typed(wanted), expected);
});

test("what does not fit is named", () => {
  for (const [settings, wanted, error] of [
    [{}, { name: String }, /missing key `name`/],
    [{ nmae: "n" }, { name: "", least: 1 }, /unknown key `nmae`; expected one of name, least/],
    [{ strict: "0" }, { strict: false }, /`strict` is 0; expected true or false/],
    [{ least: "much" }, { least: 5 }, /`least` is "much"; expected a number/],
    [{ least: "9007199254740993" }, { least: 5 }, /`least` is 9007199254740993, which a number of JavaScript/],
    [{ least: "1e400" }, { least: 5 }, /`least` is 1e400, which a number/],
    [{ tipos: "{}" }, { tipos: [] }, /`tipos` is {}; expected a list/],
    [{ topics: "null" }, { topics: {} }, /`topics` is null; expected a table/],
    [{}, { any: null }, /config.typed does not support null/],
  ]) {
    empty(settings);
    assert.throws(() => config.typed(wanted), error);
  }
});
