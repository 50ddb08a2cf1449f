/**
 * Records that a handler creates: their types are checked where the author hands them over, because a mistake would
 * otherwise become a tombstone, an empty header or the year 1970.
 */
import { Buffer, encode } from "./bytes.js";
import { Evento } from "./evento.js";
import { brief } from "./format.js";

const NULL_KEY = 1;
const NULL_VALUE = 2;
const NO_TIMESTAMP = -1;
const MEMBERS = ["value", "key", "headers", "timestamp"];

/**
 * Returns a copy of the record with bytes instead of strings. `what` names the record in errors, such as `records[0]`.
 * Throws a TypeError that says which member is wrong.
 */
export function checkedRecord(record, what) {
  if (record instanceof Evento) return checkedRecord(record.toRecord(), what);
  if (typeof record !== "object" || record === null || Array.isArray(record) || ArrayBuffer.isView(record)) {
    throw new TypeError(`${what} is ${brief(record)}; a record is { value, key, headers, timestamp }`);
  }
  for (const name in record) {
    if (!MEMBERS.includes(name)) {
      const hint = "value" in record ? "" : "; put the Evento into it as JSON: { value: JSON.stringify(…) }";
      throw new TypeError(`${what} has the member \`${name}\`; a record is { value, key, headers, timestamp }${hint}`);
    }
  }
  if (!("value" in record)) {
    throw new TypeError(`${what} has no member \`value\`; set it to null if you mean a tombstone`);
  }
  const { value, key, headers, timestamp } = record;
  return {
    value: checkedBytes(value, what, "value"),
    key: key === undefined && !("key" in record) ? null : checkedBytes(key, what, "key"),
    headers: headers === undefined && !("headers" in record) ? [] : checkedHeaders(headers, what),
    timestamp: timestamp === undefined && !("timestamp" in record) ? NO_TIMESTAMP : checkedTimestamp(timestamp, what),
  };
}

// The name of what is checked comes in two parts, because joining them for each record would cost as much as the check.

/** Returns the bytes of a string or Uint8Array, and null only for null. */
function checkedBytes(value, what, member) {
  if (value === null || value instanceof Uint8Array) return value;
  if (typeof value === "string") return checkedText(value, what, member);
  throw new TypeError(`${what}.${member} is ${brief(value)}; it must be a string, a Uint8Array or null`);
}

/** Returns the UTF-8 bytes of a text. */
function checkedText(text, what, member) {
  if (typeof text !== "string") throw new TypeError(`${what}.${member} is ${brief(text)}; it must be a string`);
  if (!text.isWellFormed()) throw new TypeError(`${what}.${member} has a lone surrogate, which UTF-8 cannot represent`);
  return encode(text);
}

function checkedHeaders(headers, what) {
  if (!Array.isArray(headers)) {
    throw new TypeError(`${what}.headers is ${brief(headers)}; it must be an array of { name, value }`);
  }
  return headers.map((header, i) => {
    const isHeader = typeof header === "object" && header !== null && "name" in header && "value" in header;
    if (!isHeader) throw new TypeError(`${what}.headers[${i}] is ${brief(header)}; a header is { name, value }`);
    const { name, value } = header;
    const isBytes = value === null || value instanceof Uint8Array;
    return {
      name: typeof name === "string" && name.isWellFormed() ? encode(name) : checkedText(name, what, `headers[${i}].name`),
      value: isBytes ? value : checkedBytes(value, what, `headers[${i}].value`),
    };
  });
}

function checkedTimestamp(timestamp, what) {
  if (timestamp === null) return NO_TIMESTAMP;
  if (timestamp instanceof Date) {
    throw new TypeError(`${what}.timestamp is a Date; it must be a number of milliseconds: date.getTime()`);
  }
  if (!Number.isSafeInteger(timestamp) || timestamp < NO_TIMESTAMP) {
    const must = "it must be a whole number of milliseconds since 1970, or null";
    throw new TypeError(`${what}.timestamp is ${brief(timestamp)}; ${must}`);
  }
  return timestamp;
}

/** The columns of records, as wit/types.wit describes them. */
export class RecordColumns {
  #buffer = new Buffer();
  #keyEnds = [];
  #valueEnds = [];
  #flags = [];
  #timestamps = [];
  #headerEnds = [];
  #headerNameEnds = [];
  #headerValueEnds = [];
  #headerNulls = [];

  /** Appends a record that was checked. */
  push({ key, value, headers, timestamp }) {
    this.#keyEnds.push(this.#buffer.push(key));
    this.#valueEnds.push(this.#buffer.push(value));
    this.#flags.push((key === null ? NULL_KEY : 0) | (value === null ? NULL_VALUE : 0));
    this.#timestamps.push(timestamp);
    for (const header of headers) {
      this.#headerNameEnds.push(this.#buffer.push(header.name));
      this.#headerValueEnds.push(this.#buffer.push(header.value));
      this.#headerNulls.push(header.value === null ? 1 : 0);
    }
    this.#headerEnds.push(this.#headerNulls.length);
  }

  /** The number of records. */
  get length() {
    return this.#flags.length;
  }

  build() {
    return {
      bytes: this.#buffer.bytes(),
      keyEnds: this.#keyEnds,
      valueEnds: this.#valueEnds,
      flags: Uint8Array.from(this.#flags),
      timestamps: this.#timestamps,
      headerEnds: this.#headerEnds,
      headerNameEnds: this.#headerNameEnds,
      headerValueEnds: this.#headerValueEnds,
      headerNulls: Uint8Array.from(this.#headerNulls),
    };
  }
}
