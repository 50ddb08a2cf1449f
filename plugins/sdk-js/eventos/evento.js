/** An Evento and its Kafka record: a view of the columns of the batch, which wit/types.wit describes. */
import { decode } from "./bytes.js";
import { brief } from "./format.js";
import { get, set } from "./pointer.js";

const NULL_KEY = 1;
const NULL_VALUE = 2;
const LOG_APPEND_TIME = 4;
const INTEGER_ID = 8;
const NO_TIMESTAMP = -1;

/** An Evento or a tombstone, with its whole Kafka record: a view of the columns of the batch. */
export class Evento {
  #batch;
  #index;

  constructor(batch, index) {
    this.#batch = batch;
    this.#index = index;
  }

  /** Returns the index of `evento` in `batch`. Throws an error if it is no Evento of that batch. */
  static indexIn(batch, evento, what) {
    if (!(evento instanceof Evento)) throw new TypeError(`${what} is ${brief(evento)}; it must be the Evento`);
    if (evento.#batch !== batch) throw new Error(`${what} is an Evento of an earlier batch`);
    return evento.#index;
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

  /**
   * Returns the parsed Evento, or null for a tombstone. Numbers can lose digits, and 1e400 is
   * Infinity: `at` and `setAt` keep them.
   */
  json() {
    const text = this.text;
    return text === null ? null : JSON.parse(text);
  }

  /**
   * Returns the JSON text of the value at a JSON pointer such as `/geometry/coordinates/2`, with every digit. Null for a
   * tombstone, or if there is nothing.
   */
  at(pointer) {
    const text = this.text;
    return text === null ? null : get(text, pointer);
  }

  /**
   * Returns the JSON of the Evento with the value at a JSON pointer replaced with `json`, a JSON text, or added, and all other
   * bytes as they are: `replace([{ ...evento.toRecord(), value: evento.setAt("/mag", "5.0") }])`. Throws an error if the
   * object or array to add to does not exist, and for a tombstone.
   */
  setAt(pointer, json) {
    const text = this.text;
    if (text === null) throw new Error("a tombstone has no JSON");
    return set(text, pointer, json);
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

function startOf(ends, i) {
  return i > 0 ? ends[i - 1] : 0;
}

function slice(bytes, from, to) {
  return bytes.subarray(from, to);
}

function textAt({ bytes, ends }, i) {
  return decode(slice(bytes, startOf(ends, i), ends[i]));
}
