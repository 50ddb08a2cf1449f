/**
 * Write an eventos handler in JavaScript: one function from an Evento to its outcome.
 *
 *     import { drop, handler, pass } from "./eventos.js";
 *
 *     export const { init, handle } = handler((evento) =>
 *       evento.header("alert") === null ? drop() : pass(),
 *     );
 *
 * What a handler can do beside answering: `store.append`, `emit.send`, `config.get` and
 * `log.info`. There are no files, no network, no environment and no timers. What is thrown ends the
 * call with a trap, and the dead letter holds its text: that is for bugs. For an Evento that is
 * wrong, answer `reject(reason)`.
 *
 * Bytes are `Uint8Array`, and null where Kafka has null. Where the SDK takes bytes, it takes a
 * string as well, which becomes UTF-8. The columns that cross are described in wit/types.wit.
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

/** An Evento, or a tombstone, and the record that it came in: a view of the batch's columns. */
export class Evento {
  #batch;
  #index;

  constructor(batch, index) {
    this.#batch = batch;
    this.#index = index;
  }

  /** The place in its batch. */
  get index() {
    return this.#index;
  }

  /** Escapes resolved; an integer in its own digits, as a text; empty for a tombstone. */
  get id() {
    return textAt(this.#batch.ids, this.#index);
  }

  /** Whether the id is a JSON integer rather than a text. */
  get idIsInteger() {
    return this.#has(INTEGER_ID);
  }

  /** Escapes resolved; empty for a tombstone. */
  get tipo() {
    return textAt(this.#batch.tipos, this.#index);
  }

  /** Whether the value is null: then there is no Evento. */
  get isTombstone() {
    return this.#has(NULL_VALUE);
  }

  /** The record's key; null is not the same as empty. */
  get key() {
    const { bytes, keyEnds } = this.#batch.records;
    return this.#has(NULL_KEY) ? null : slice(bytes, this.#start(), keyEnds[this.#index]);
  }

  /** The Evento as it came, to the letter; null for a tombstone. */
  get value() {
    const { bytes, keyEnds, valueEnds } = this.#batch.records;
    return this.#has(NULL_VALUE) ? null : slice(bytes, keyEnds[this.#index], valueEnds[this.#index]);
  }

  /** The value as a text; null for a tombstone. */
  get text() {
    const value = this.value;
    return value === null ? null : decode(value);
  }

  /** The Evento, parsed; null for a tombstone. Numbers lose digits that `text` has. */
  json() {
    const text = this.text;
    return text === null ? null : JSON.parse(text);
  }

  /** `{ name, value }` in order, with duplicates and null values. */
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

  /** The value of the last header of this name; null if there is none, or it is null. */
  header(name) {
    return this.headers.findLast((header) => header.name === name)?.value ?? null;
  }

  /** Milliseconds since 1970-01-01 UTC; null if there is none. */
  get timestamp() {
    const timestamp = Number(this.#batch.records.timestamps[this.#index]);
    return timestamp === NO_TIMESTAMP ? null : timestamp;
  }

  /** Whether the broker set the timestamp. */
  get logAppendTime() {
    return this.#has(LOG_APPEND_TIME);
  }

  /** Where it came from. */
  get topic() {
    return this.#batch.topic;
  }

  /** Where it came from. */
  get partition() {
    return this.#batch.partition;
  }

  /** Where it came from. */
  get offset() {
    return Number(this.#batch.offsets[this.#index]);
  }

  /** A copy of key, value, headers and timestamp: `{ ...evento.toRecord(), value: "…" }`. */
  toRecord() {
    const { key, value, headers, timestamp } = this;
    return { key, value, headers, timestamp };
  }

  #has(flag) {
    return (this.#batch.records.flags[this.#index] & flag) !== 0;
  }

  /** Where the record begins: where the one before it ended, at its last header or at its value. */
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

/** It goes on to the next handler unchanged. */
export const pass = () => ({ kind: PASS });

/** It goes no further. */
export const drop = () => ({ kind: DROP });

/**
 * 0 or more records go on in its place. A record is `{ value, key, headers, timestamp }`, of which all but
 * the value may be left out; each value is an Evento as JSON, or null for a tombstone.
 */
export const replace = (records) => ({ kind: REPLACE, records });

/** A transient failure: it is handed in again. Its effects are discarded. */
export const retry = (reason) => ({ kind: RETRY, reason });

/** It goes to the dead letters with the reason. Its effects are discarded. */
export const reject = (reason) => ({ kind: REJECT, reason });

let stored = [];
// By topic, kept until the batch is answered so that they cross together.
let emitted = new Map();
// The index of the record that the handler is looking at; null while it starts.
let inHand = null;

export const store = {
  /**
   * Puts the Evento in the store that `GET /messages` serves. It counts when the whole batch has
   * been answered, unless the outcome is retry or reject. A tombstone is passed over.
   */
  append(evento) {
    if (!evento.isTombstone) stored.push(evento.index);
  },
};

export const emit = {
  /**
   * Produces a record to a topic that the handler's `produce` setting names, on behalf of the
   * Evento that caused it. A topic that is not permitted ends the call as an error does.
   */
  send(topic, cause, record) {
    if (!emitted.has(topic)) emitted.set(topic, { sources: [], records: [] });
    const { sources, records } = emitted.get(topic);
    sources.push(cause.index);
    records.push(record);
  },
};

/** The table `[handler.NAME.config]`: strings as they are, other values as JSON text. */
export const config = {
  /** One setting; null if it is not set. */
  get: (key) => hostConfig.get(key) ?? null,
  /** `[key, value]` of every setting, by key ascending. */
  all: () => hostConfig.all(),
};

/** A line in the daemon's log, with the handler's name, the partition and the offset. */
export const log = {
  trace: (message) => hostLog.write("trace", inHand, String(message)),
  debug: (message) => hostLog.write("debug", inHand, String(message)),
  info: (message) => hostLog.write("info", inHand, String(message)),
  warn: (message) => hostLog.write("warn", inHand, String(message)),
  error: (message) => hostLog.write("error", inHand, String(message)),
};

// The QuickJS that handlers are built with has no console; what is written for one goes to the log.
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
 * What a handler's file has to export. `answer` is called with each Evento; `start`, if there is
 * one, once in each new instance, and what it throws refuses the handler with its text.
 */
export function handler(answer, start = () => {}) {
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
          inHand = index;
          outcomes.push(checked(answer(new Evento(batch, index))));
        }
      } catch (error) {
        // What the dead letter quotes; the error itself becomes a trap without a text.
        log.error(told(error));
        throw error;
      }
      inHand = null;
      flush();
      return columnsOf(outcomes);
    },
  };
}

function checked(outcome) {
  if (typeof outcome?.kind !== "number") {
    throw new TypeError(`${String(outcome)} is no outcome; answer pass(), drop(), …`);
  }
  return outcome;
}

/** One line, since a log and a dead letter are read line by line: what, and where. */
function told(error) {
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

/** Pieces, one after another. */
class Buffer {
  #pieces = [];
  #length = 0;

  /** Answers the end. */
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


// QuickJS has neither TextEncoder nor TextDecoder, and its strings are UTF-16. The way through
// percent-encoding is its own, compiled code; ASCII, most of what comes, takes a shorter one.

/** UTF-8; half of a surrogate pair becomes U+FFFD. */
export function encode(text) {
  if (/^[\0-\x7f]*$/.test(text)) return Uint8Array.from(text, (char) => char.charCodeAt(0));
  const escaped = unescape(encodeURIComponent(text.toWellFormed()));
  return Uint8Array.from(escaped, (char) => char.charCodeAt(0));
}

/** The text of bytes that are UTF-8, as ids, tipos, values and names of headers are. */
export function decode(bytes) {
  let chars = "";
  // In pieces: each byte is an argument of the call.
  for (let at = 0; at < bytes.length; at += 4096) {
    chars += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return /^[\0-\x7f]*$/.test(chars) ? chars : decodeURIComponent(escape(chars));
}
