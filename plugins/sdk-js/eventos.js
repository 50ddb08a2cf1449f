/**
 * Write an eventos handler in JavaScript: one function from an Evento to its outcome.
 *
 *     import { drop, handler, pass } from "./eventos.js";
 *
 *     export const { init, handle } = handler((evento) =>
 *       evento.header("alert") === null ? drop() : pass(),
 *     );
 *
 * Besides returning an outcome, a handler can call `store.append`, `emit.send`, `config.get` and
 * `log.info`. It has no files, no network, no environment and no timers. An exception ends the call
 * with a trap, and its text goes to the dead letter: exceptions are for bugs. For an invalid Evento
 * return `reject(reason)`.
 *
 * Bytes are `Uint8Array`, or null where Kafka has null. Wherever the SDK takes bytes, it also takes
 * a string, which it encodes as UTF-8. wit/types.wit describes the columns of a batch.
 */
import hostConfig from "eventos:handler/config@1.0.0";
import hostEmit from "eventos:handler/emit@1.0.0";
import hostLog from "eventos:handler/log@1.0.0";
import hostStore from "eventos:handler/store@1.0.0";

const NULL_KEY = 1;
const NULL_VALUE = 2;
const LOG_APPEND_TIME = 4;
const INTEGER_ID = 8;
const NO_TIMESTAMP = -1;
const NOTHING = new Uint8Array();

/** An Evento or a tombstone, with its whole Kafka record: a view of the columns of the batch. */
export class Evento {
  #batch;
  #index;

  constructor(batch, index) {
    this.#batch = batch;
    this.#index = index;
  }

  /** Index in the batch. */
  get index() {
    return this.#index;
  }

  /** The `id` with escapes resolved. An integer is a string with all its digits. Empty for a tombstone. */
  get id() {
    return textAt(this.#batch.ids, this.#index);
  }

  /** Whether the id is a JSON integer: `7`, not `"7"`. */
  get idIsInteger() {
    return this.#has(INTEGER_ID);
  }

  /** The `tipo` with escapes resolved. Empty for a tombstone. */
  get tipo() {
    return textAt(this.#batch.tipos, this.#index);
  }

  /** Whether the value is null, so that there is no Evento. */
  get isTombstone() {
    return this.#has(NULL_VALUE);
  }

  /** Key of the record, or null. Null differs from empty. */
  get key() {
    const { bytes, keyEnds } = this.#batch.records;
    return this.#has(NULL_KEY) ? null : slice(bytes, this.#start(), keyEnds[this.#index]);
  }

  /** The bytes of the Evento exactly as they were sent; null for a tombstone. */
  get value() {
    const { bytes, keyEnds, valueEnds } = this.#batch.records;
    return this.#has(NULL_VALUE) ? null : slice(bytes, keyEnds[this.#index], valueEnds[this.#index]);
  }

  /** The value as a string; null for a tombstone. */
  get text() {
    const value = this.value;
    return value === null ? null : decode(value);
  }

  /** Returns the parsed Evento, or null for a tombstone. Numbers can lose digits that `text` has. */
  json() {
    const text = this.text;
    return text === null ? null : JSON.parse(text);
  }

  /** The headers as `{ name, value }`, in order, including duplicates and null values. */
  get headers() {
    const { bytes, valueEnds, headerEnds, headerNameEnds, headerValueEnds, headerNulls } = this.#batch.records;
    const headers = [];
    let at = valueEnds[this.#index];
    for (let i = startOf(headerEnds, this.#index); i < headerEnds[this.#index]; i++) {
      const name = decode(slice(bytes, at, headerNameEnds[i]));
      const value = headerNulls[i] ? null : slice(bytes, headerNameEnds[i], headerValueEnds[i]);
      headers.push({ name, value });
      at = headerValueEnds[i];
    }
    return headers;
  }

  /** Returns the value of the last header with this name, or null if there is none or its value is null. */
  header(name) {
    return this.headers.findLast((header) => header.name === name)?.value ?? null;
  }

  /** Timestamp in milliseconds since 1970-01-01 UTC; null if the record has none. */
  get timestamp() {
    const timestamp = Number(this.#batch.records.timestamps[this.#index]);
    return timestamp === NO_TIMESTAMP ? null : timestamp;
  }

  /** Whether the broker set the timestamp. */
  get logAppendTime() {
    return this.#has(LOG_APPEND_TIME);
  }

  /** Topic of the record. */
  get topic() {
    return this.#batch.topic;
  }

  /** Partition of the record. */
  get partition() {
    return this.#batch.partition;
  }

  /** Offset of the record in its partition. */
  get offset() {
    return Number(this.#batch.offsets[this.#index]);
  }

  /** Returns a record with key, value, headers and timestamp, to modify: `{ ...evento.toRecord(), value: "…" }`. */
  toRecord() {
    const { key, value, headers, timestamp } = this;
    return { key, value, headers, timestamp };
  }

  #has(flag) {
    return (this.#batch.records.flags[this.#index] & flag) !== 0;
  }

  /** Returns where the record begins, which is where the previous one ends: after its last header or its value. */
  #start() {
    if (this.#index === 0) return 0;
    const { valueEnds, headerEnds, headerValueEnds } = this.#batch.records;
    const before = this.#index - 1;
    const headers = headerEnds[before];
    return headers > startOf(headerEnds, before) ? headerValueEnds[headers - 1] : valueEnds[before];
  }
}

const PASS = 0;
const DROP = 1;
const REPLACE = 2;
const RETRY = 3;
const REJECT = 4;

/** Passes the Evento on to the next handler unchanged. */
export const pass = () => ({ kind: PASS });

/** Ends the processing of the Evento. */
export const drop = () => ({ kind: DROP });

/**
 * Passes 0 or more records on to the next handler instead. A record is `{ value, key, headers, timestamp }`; all
 * members except the value are optional. Each value is an Evento as JSON, or null for a tombstone.
 */
export const replace = (records) => ({ kind: REPLACE, records });

/** Asks the daemon to call the handler with the Evento again, for a transient failure. Discards its effects. */
export const retry = (reason) => ({ kind: RETRY, reason });

/** Sends the Evento to the dead-letter topic with the reason. Discards its effects. */
export const reject = (reason) => ({ kind: REJECT, reason });

let stored = [];
// The emitted records by topic, buffered until the end of the batch so that each topic takes one call.
let emitted = new Map();
// The index of the record that the handler is processing; null during init.
let current = null;

export const store = {
  /**
   * Appends the Evento to the store that `GET /messages` serves. This takes effect when the call that
   * handles the batch returns, unless the outcome is retry or reject. Ignores a tombstone.
   */
  append(evento) {
    if (!evento.isTombstone) stored.push(evento.index);
  },
};

export const emit = {
  /**
   * Emits a record to a topic that is listed in the handler's `produce` setting, on behalf of `cause`.
   * This takes effect when the call that handles the batch returns, unless the outcome of `cause` is
   * retry or reject. Any other topic ends the call with a trap.
   */
  send(topic, cause, record) {
    if (!emitted.has(topic)) emitted.set(topic, { sources: [], records: [] });
    const { sources, records } = emitted.get(topic);
    sources.push(cause.index);
    records.push(record);
  },
};

/** The table `[handler.NAME.config]`. Strings are returned as they are, other values as JSON text. */
export const config = {
  /** Returns one setting, or null if the key is not set. */
  get: (key) => hostConfig.get(key) ?? null,
  /** Returns `[key, value]` of every setting, in ascending order of the keys. */
  all: () => hostConfig.all(),
};

/** Writes lines to the daemon's log, with the handler's name, the partition and the offset. */
export const log = {
  trace: (message) => hostLog.write("trace", current, String(message)),
  debug: (message) => hostLog.write("debug", current, String(message)),
  info: (message) => hostLog.write("info", current, String(message)),
  warn: (message) => hostLog.write("warn", current, String(message)),
  error: (message) => hostLog.write("error", current, String(message)),
};

// The QuickJS that handlers are built with has no console, so this one writes to the log.
if (typeof globalThis.console === "undefined") {
  const line = (write) => (...parts) => write(parts.map(String).join(" "));
  globalThis.console = {
    trace: line(log.trace),
    debug: line(log.debug),
    log: line(log.info),
    info: line(log.info),
    warn: line(log.warn),
    error: line(log.error),
  };
}

/**
 * Returns the functions that the file of a handler must export. `handleEvento` is called with each Evento
 * and returns an outcome. `start` is optional and called once in each new instance; if it throws, the
 * daemon refuses to load the handler and reports the text.
 */
export function handler(handleEvento, start = () => {}) {
  return {
    init() {
      try {
        start();
      } catch (error) {
        throw error instanceof Error ? error.message : String(error);
      }
    },

    handle(batch) {
      const outcomes = [];
      try {
        for (let index = 0; index < batch.offsets.length; index++) {
          current = index;
          outcomes.push(checked(handleEvento(new Evento(batch, index))));
        }
      } catch (error) {
        // The dead letter quotes this line, because the exception itself becomes a trap without a text.
        log.error(describe(error));
        throw error;
      }
      current = null;
      flush();
      return columnsOf(outcomes);
    },
  };
}

function checked(outcome) {
  if (typeof outcome?.kind !== "number") {
    throw new TypeError(`${String(outcome)} is not an outcome; return pass(), drop(), …`);
  }
  return outcome;
}

/** Returns the error and its location in one line, because logs and dead letters are read line by line. */
function describe(error) {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split("\n").find((line) => line.trim() !== "");
  return `${error}${place ? ` ${place.trim()}` : ""}`.replaceAll("\n", " ");
}

function flush() {
  if (stored.length > 0) hostStore.append(stored);
  for (const [topic, { sources, records }] of emitted) {
    hostEmit.send(topic, sources, columnsOfRecords(records));
  }
  stored = [];
  emitted = new Map();
}

function columnsOf(outcomes) {
  const replacements = [];
  const replacementEnds = [];
  for (const { kind, records } of outcomes) {
    if (kind !== REPLACE) continue;
    replacements.push(...records);
    replacementEnds.push(replacements.length);
  }
  const reasons = outcomes.filter(({ kind }) => kind === RETRY || kind === REJECT);
  return {
    kinds: Uint8Array.from(outcomes, ({ kind }) => kind),
    reasons: columnsOfTexts(reasons.map(({ reason }) => String(reason))),
    replacementEnds,
    replacements: columnsOfRecords(replacements),
  };
}

function columnsOfTexts(texts) {
  const buffer = new Buffer();
  const ends = texts.map((text) => buffer.push(text));
  return { bytes: buffer.bytes(), ends };
}

function columnsOfRecords(records) {
  const buffer = new Buffer();
  const [keyEnds, valueEnds, flags, timestamps, headerEnds] = [[], [], [], [], []];
  const [headerNameEnds, headerValueEnds, headerNulls] = [[], [], []];
  for (const { key = null, value = null, headers = [], timestamp = null } of records) {
    keyEnds.push(buffer.push(key));
    valueEnds.push(buffer.push(value));
    flags.push((key === null ? NULL_KEY : 0) | (value === null ? NULL_VALUE : 0));
    timestamps.push(timestamp ?? NO_TIMESTAMP);
    for (const { name, value } of headers) {
      headerNameEnds.push(buffer.push(name));
      headerValueEnds.push(buffer.push(value));
      headerNulls.push(value === null ? 1 : 0);
    }
    headerEnds.push(headerNulls.length);
  }
  return {
    bytes: buffer.bytes(),
    keyEnds,
    valueEnds,
    flags: Uint8Array.from(flags),
    timestamps,
    headerEnds,
    headerNameEnds,
    headerValueEnds,
    headerNulls: Uint8Array.from(headerNulls),
  };
}

/** Bytes that are collected in pieces. */
class Buffer {
  #pieces = [];
  #length = 0;

  /** Appends a piece and returns the index after it. */
  push(piece) {
    const bytes = typeof piece === "string" ? encode(piece) : (piece ?? NOTHING);
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    return this.#length;
  }

  bytes() {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

function startOf(ends, i) {
  return i > 0 ? ends[i - 1] : 0;
}

function slice(bytes, from, to) {
  return bytes.subarray(from, to);
}

function textAt({ bytes, ends }, i) {
  return decode(slice(bytes, startOf(ends, i), ends[i]));
}

// QuickJS has neither TextEncoder nor TextDecoder, and its strings are UTF-16. Percent-encoding goes
// through compiled code of the engine; ASCII, which is most input, takes a shorter path.

/** Returns the UTF-8 bytes of a string. A lone surrogate becomes U+FFFD. */
export function encode(text) {
  if (/^[\0-\x7f]*$/.test(text)) return Uint8Array.from(text, (char) => char.charCodeAt(0));
  const escaped = unescape(encodeURIComponent(text.toWellFormed()));
  return Uint8Array.from(escaped, (char) => char.charCodeAt(0));
}

/** Returns the string of UTF-8 bytes, which ids, tipos, values and header names always are. */
export function decode(bytes) {
  let chars = "";
  // Decode in pieces, because each byte is an argument of the call.
  for (let at = 0; at < bytes.length; at += 4096) {
    chars += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return /^[\0-\x7f]*$/.test(chars) ? chars : decodeURIComponent(escape(chars));
}
