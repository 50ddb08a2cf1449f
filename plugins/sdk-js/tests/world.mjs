// A stand-in for the daemon: provides the modules that the SDK imports, builds columns, and records calls.

import { register } from "node:module";

// The names of the daemon's interfaces are not files, and the SDK consists of ES modules although no package.json says so.
const hooks = `
  export async function resolve(name, context, next) {
    const [, of] = /^eventos:handler\\/(\\w+)@1\\.0\\.0$/.exec(name) ?? [];
    if (of !== undefined) {
      const source = "export default globalThis.eventosHost." + of + ";";
      return { url: "data:text/javascript," + encodeURIComponent(source), shortCircuit: true };
    }
    const found = await next(name, context);
    return /\\/eventos(\\.js|\\/\\w+\\.js)$/.test(found.url) ? { ...found, format: "module" } : found;
  }`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

/** The calls that a handler made to the daemon since the last `empty`. */
export const host = { settings: {}, stored: [], emitted: [], logged: [] };

export function empty(settings = {}) {
  Object.assign(host, { settings, stored: [], emitted: [], logged: [] });
}

globalThis.eventosHost = {
  config: { get: (key) => host.settings[key], all: () => Object.entries(host.settings).sort() },
  emit: { send: (topic, sources, records) => host.emitted.push({ topic, sources, records }) },
  log: { write: (level, index, message) => host.logged.push({ level, index, message }) },
  store: { append: (records) => host.stored.push(records) },
};

export const sdk = await import("../eventos.js");

export const NULL_KEY = 1;
export const NULL_VALUE = 2;
export const LOG_APPEND_TIME = 4;
export const INTEGER_ID = 8;

export const bytes = (text) => new Uint8Array(new TextEncoder().encode(text));

export function texts(...of) {
  const ends = of.map((_, i) => bytes(of.slice(0, i + 1).join("")).length);
  return { bytes: bytes(of.join("")), ends: Uint32Array.from(ends) };
}

/** The two records of the example in docs/handlers.md, with the same numbers. */
export function docsExample() {
  return {
    topic: "eventos",
    partition: 3,
    offsets: BigInt64Array.of(41n, 42n),
    ids: texts("a", "b"),
    tipos: texts("sismo", "sismo"),
    records: {
      bytes: bytes("k{..1}hx{..2}"),
      keyEnds: Uint32Array.of(1, 8),
      valueEnds: Uint32Array.of(6, 13),
      flags: Uint8Array.of(0, NULL_KEY),
      timestamps: BigInt64Array.of(1700000000000n, -1n),
      headerEnds: Uint32Array.of(1, 1),
      headerNameEnds: Uint32Array.of(7),
      headerValueEnds: Uint32Array.of(8),
      headerNulls: Uint8Array.of(0),
    },
  };
}

/** Returns a batch of `[tipo, record, extra flags]`. Bytes are Uint8Array or null. The id of each record is its index. */
export function batch(...eventos) {
  const whole = [];
  const columns = { keyEnds: [], valueEnds: [], flags: [], timestamps: [], headerEnds: [] };
  const headerColumns = { headerNameEnds: [], headerValueEnds: [], headerNulls: [] };
  const push = (piece) => whole.push(...(piece ?? []));
  for (const [, { key = null, value = null, headers = [], timestamp = -1 }, more = 0] of eventos) {
    push(key);
    columns.keyEnds.push(whole.length);
    push(value);
    columns.valueEnds.push(whole.length);
    columns.flags.push((key === null ? NULL_KEY : 0) | (value === null ? NULL_VALUE : 0) | more);
    columns.timestamps.push(BigInt(timestamp));
    for (const { name, value } of headers) {
      push(bytes(name));
      headerColumns.headerNameEnds.push(whole.length);
      push(value);
      headerColumns.headerValueEnds.push(whole.length);
      headerColumns.headerNulls.push(value === null ? 1 : 0);
    }
    columns.headerEnds.push(headerColumns.headerNulls.length);
  }
  return {
    topic: "eventos",
    partition: 0,
    offsets: BigInt64Array.from(eventos, (_, i) => BigInt(i)),
    ids: texts(...eventos.map((_, i) => String(i))),
    tipos: texts(...eventos.map(([tipo]) => tipo)),
    records: { bytes: Uint8Array.from(whole), ...columns, ...headerColumns },
  };
}

/** Converts typed arrays to plain arrays and big integers to numbers, so that columns can be compared. */
export function plain(value) {
  if (typeof value === "bigint") return Number(value);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return Array.from(value, plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
