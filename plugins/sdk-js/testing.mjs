/**
 * Runs a handler in an ordinary unit test, without WebAssembly and without a daemon; `node --test` runs such a file:
 *
 *     import assert from "node:assert/strict";
 *     import { test } from "node:test";
 *     import { load } from "./sdk/testing.mjs";
 *
 *     const run = await load(new URL("handler.js", import.meta.url));
 *
 *     test("weak earthquakes are dropped", () => {
 *       const { outcomes } = run([{ value: '{"id":1,"tipo":"earthquake","mag":1.5}' }]);
 *       assert.deepEqual(outcomes, [{ outcome: "drop" }]);
 *     });
 *
 * The records pass through the same columns as between daemon and handler. The other checks of the daemon are not made here:
 * whether a topic is permitted, whether a replacement is a valid Evento, and the limits of time, memory and output.
 */
import { register } from "node:module";

// The interfaces of the daemon are not files, and a handler consists of ES modules whatever package.json says.
const hooks = `
  export async function resolve(name, context, next) {
    const [, of] = /^eventos:handler\\/(\\w+)@1\\.0\\.0$/.exec(name) ?? [];
    if (of !== undefined) {
      const source = "export default globalThis.eventosTesting." + of + ";";
      return { url: "data:text/javascript," + encodeURIComponent(source), shortCircuit: true };
    }
    const found = await next(name, context);
    return found.url.endsWith(".js") && !found.url.includes("/node_modules/") ? { ...found, format: "module" } : found;
  }`;

const NULL_KEY = 1;
const NULL_VALUE = 2;
const INTEGER_ID = 8;
const OUTCOMES = ["pass", "drop", "replace", "retry", "reject"];

let settings = {};
let ran;

globalThis.eventosTesting ??= {
  config: { get: (key) => settings[key], all: () => Object.entries(settings).sort() },
  emit: { send: (topic, sources, columns) => ran.emitted.push({ topic, sources: [...sources], records: recordsOf(columns) }) },
  log: { write: (level, index, message) => ran.logged.push({ level, index, message }) },
  store: { append: (records) => ran.stored.push(...records) },
};

/**
 * Loads the file of a handler, and returns a function `(records, settings = {})`. It starts the handler with these settings and
 * runs it on the records, as one batch of partition 0 of the topic `eventos` with offsets from 0. A record is what `replace`
 * takes, and a setting what `config.get` returns: a string as it is, any other value as JSON text.
 *
 * The function returns `{ outcomes, stored, emitted, logged }`: one outcome per record (`{ outcome: "replace", records }`,
 * `{ outcome: "reject", reason }` and so on), indices of the stored records, emitted records (`{ topic, cause, record }`) and
 * lines of the log (`{ level, index, message }`). Bytes that are UTF-8 are strings.
 */
export async function load(file) {
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
  const handler = await import(file);
  return (records, given = {}) => {
    settings = given;
    ran = { stored: [], emitted: [], logged: [] };
    handler.init();
    return resultOf(handler.handle(batchOf(records)));
  };
}

function resultOf({ kinds, reasons, replacementEnds, replacements }) {
  const all = recordsOf(replacements);
  let [reason, replaced] = [0, 0];
  const outcomes = Array.from(kinds, (kind) => {
    const outcome = OUTCOMES[kind];
    if (outcome === "replace") {
      const records = all.slice(replacementEnds[replaced - 1] ?? 0, replacementEnds[replaced]);
      replaced += 1;
      return { outcome, records };
    }
    if (outcome !== "retry" && outcome !== "reject") return { outcome };
    const bytes = reasons.bytes.subarray(reasons.ends[reason - 1] ?? 0, reasons.ends[reason]);
    reason += 1;
    return { outcome, reason: textOf(bytes) };
  });
  const counts = (index) => !["retry", "reject"].includes(outcomes[index].outcome);
  const emitted = ran.emitted.flatMap(({ topic, sources, records }) =>
    records.map((record, i) => ({ topic, cause: sources[i], record })).filter(({ cause }) => counts(cause)),
  );
  return { outcomes, stored: ran.stored.filter(counts), emitted, logged: ran.logged };
}

function batchOf(records) {
  const encode = (piece) => (typeof piece === "string" ? new TextEncoder().encode(piece) : (piece ?? []));
  const all = [];
  /** Appends a piece and returns the index after it. */
  const end = (piece) => {
    for (const byte of encode(piece)) all.push(byte);
    return all.length;
  };
  const columns = { keyEnds: [], valueEnds: [], flags: [], timestamps: [], headerEnds: [] };
  const headerColumns = { headerNameEnds: [], headerValueEnds: [], headerNulls: [] };
  const [ids, tipos] = [[], []];
  for (const { key = null, value, headers = [], timestamp = -1 } of records) {
    const text = value === null ? "null" : new TextDecoder().decode(Uint8Array.from(encode(value)));
    const { id = "", tipo = "" } = JSON.parse(text) ?? {};
    ids.push(String(id));
    tipos.push(tipo);
    columns.keyEnds.push(end(key));
    columns.valueEnds.push(end(value));
    const isInteger = typeof id === "number" ? INTEGER_ID : 0;
    columns.flags.push((key === null ? NULL_KEY : 0) | (value === null ? NULL_VALUE : 0) | isInteger);
    columns.timestamps.push(BigInt(timestamp ?? -1));
    for (const header of headers) {
      headerColumns.headerNameEnds.push(end(header.name));
      headerColumns.headerValueEnds.push(end(header.value));
      headerColumns.headerNulls.push(header.value === null ? 1 : 0);
    }
    columns.headerEnds.push(headerColumns.headerNulls.length);
  }
  const offsets = BigInt64Array.from(records, (_, i) => BigInt(i));
  const bytes = Uint8Array.from(all);
  return { topic: "eventos", partition: 0, offsets, ids: textsOf(ids), tipos: textsOf(tipos), records: { bytes, ...columns, ...headerColumns } };
}

function textsOf(texts) {
  const encoder = new TextEncoder();
  const pieces = texts.map((text) => [...encoder.encode(text)]);
  let length = 0;
  return { bytes: Uint8Array.from(pieces.flat()), ends: pieces.map((piece) => (length += piece.length)) };
}

function recordsOf({ bytes, keyEnds, valueEnds, flags, timestamps, headerEnds, headerNameEnds, headerValueEnds, headerNulls }) {
  let [at, header] = [0, 0];
  const take = (end, isNull) => {
    const piece = isNull ? null : textOf(bytes.subarray(at, end));
    at = end;
    return piece;
  };
  return Array.from(flags, (bits, i) => {
    const key = take(keyEnds[i], bits & NULL_KEY);
    const value = take(valueEnds[i], bits & NULL_VALUE);
    const headers = [];
    for (; header < headerEnds[i]; header++) {
      const name = take(headerNameEnds[header], false);
      headers.push({ name, value: take(headerValueEnds[header], headerNulls[header]) });
    }
    const timestamp = Number(timestamps[i]);
    return { value, key, headers, timestamp: timestamp === -1 ? null : timestamp };
  });
}

/** Returns bytes as a string, if they are UTF-8. */
function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}
