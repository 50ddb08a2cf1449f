/**
 * Records that a handler creates: their types are checked where the author hands them over, because a mistake would
 * otherwise become a tombstone, an empty header or the year 1970.
 */
import { Buffer } from "./bytes.js";
import { Evento } from "./evento.js";
import { brief } from "./format.js";

const NULL_KEY = 1;
const NULL_VALUE = 2;
const NO_TIMESTAMP = -1;
const MEMBERS = ["value", "key", "headers", "timestamp"];

/**
 * Returns the record, or that of an Evento. `what` names it in errors, followed by its index in a list, if it has one. Throws
 * a TypeError that says which member is wrong.
 */
export function checkedRecord(record, what, index) {
  if (record instanceof Evento) return record.toRecord();
  if (!isRecord(record)) refuse(record, index === undefined ? what : `${what}[${index}]`);
  return record;
}

/** Returns whether this is a record. It is called with each one, so it neither copies nor formats anything. */
function isRecord(record) {
  if (typeof record !== "object" || record === null) return false;
  const { value, key, headers, timestamp } = record;
  let known = 1;
  if (key !== undefined) known += 1;
  if (headers !== undefined) known += 1;
  if (timestamp !== undefined) known += 1;
  // A member that is undefined, or has another name, counts here only.
  if (Object.keys(record).length !== known) return false;
  if (!isBytes(value) || (key !== undefined && !isBytes(key))) return false;
  return (headers === undefined || areHeaders(headers)) && (timestamp === undefined || isTimestamp(timestamp));
}

function isBytes(value) {
  return value === null || value instanceof Uint8Array || (typeof value === "string" && value.isWellFormed());
}

function areHeaders(headers) {
  if (!Array.isArray(headers)) return false;
  for (let i = 0; i < headers.length; i++) {
    const { name, value } = headers[i] ?? {};
    if (typeof name !== "string" || !name.isWellFormed() || !isBytes(value)) return false;
  }
  return true;
}

function isTimestamp(timestamp) {
  return timestamp === null || (Number.isSafeInteger(timestamp) && timestamp >= NO_TIMESTAMP);
}

/** Throws a TypeError that says why this is no record. */
function refuse(record, what) {
  const isObject = typeof record === "object" && record !== null && !Array.isArray(record) && !ArrayBuffer.isView(record);
  if (!isObject) throw new TypeError(`${what} is ${brief(record)}; a record is { value, key, headers, timestamp }`);
  const unknown = Object.keys(record).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) {
    const hint = "value" in record ? "" : "; put the Evento into it as JSON: { value: JSON.stringify(…) }";
    throw new TypeError(`${what} has the member \`${unknown}\`; a record is { value, key, headers, timestamp }${hint}`);
  }
  if (!("value" in record)) {
    throw new TypeError(`${what} has no member \`value\`; set it to null if you mean a tombstone`);
  }
  refuseBytes(record.value, `${what}.value`);
  if ("key" in record) refuseBytes(record.key, `${what}.key`);
  if ("headers" in record) refuseHeaders(record.headers, `${what}.headers`);
  refuseTimestamp(record.timestamp, `${what}.timestamp`);
}

function refuseBytes(value, what) {
  if (isBytes(value)) return;
  if (typeof value === "string") throw new TypeError(`${what} has a lone surrogate, which UTF-8 cannot represent`);
  throw new TypeError(`${what} is ${brief(value)}; it must be a string, a Uint8Array or null`);
}

function refuseHeaders(headers, what) {
  if (!Array.isArray(headers)) {
    throw new TypeError(`${what} is ${brief(headers)}; it must be an array of { name, value }`);
  }
  headers.forEach((header, i) => {
    const isHeader = typeof header === "object" && header !== null && "name" in header && "value" in header;
    if (!isHeader) throw new TypeError(`${what}[${i}] is ${brief(header)}; a header is { name, value }`);
    if (typeof header.name !== "string") {
      throw new TypeError(`${what}[${i}].name is ${brief(header.name)}; it must be a string`);
    }
    refuseBytes(header.name, `${what}[${i}].name`);
    refuseBytes(header.value, `${what}[${i}].value`);
  });
}

function refuseTimestamp(timestamp, what) {
  if (isTimestamp(timestamp)) return;
  if (timestamp instanceof Date) {
    throw new TypeError(`${what} is a Date; it must be a number of milliseconds: date.getTime()`);
  }
  throw new TypeError(`${what} is ${brief(timestamp)}; it must be a whole number of milliseconds since 1970, or null`);
}

/** The columns of records, as wit/types.wit describes them. */
export class RecordColumns {
  buffer = new Buffer();
  keyEnds = [];
  valueEnds = [];
  flags = [];
  timestamps = [];
  headerEnds = [];
  headerNameEnds = [];
  headerValueEnds = [];
  headerNulls = [];

  /** Appends a record that was checked. */
  push({ key = null, value, headers, timestamp }) {
    const { buffer } = this;
    this.keyEnds.push(buffer.push(key));
    this.valueEnds.push(buffer.push(value));
    this.flags.push((key === null ? NULL_KEY : 0) | (value === null ? NULL_VALUE : 0));
    this.timestamps.push(timestamp ?? NO_TIMESTAMP);
    if (headers !== undefined) {
      for (const { name, value } of headers) {
        this.headerNameEnds.push(buffer.push(name));
        this.headerValueEnds.push(buffer.push(value));
        this.headerNulls.push(value === null ? 1 : 0);
      }
    }
    this.headerEnds.push(this.headerNulls.length);
  }

  /** The number of records. */
  get length() {
    return this.flags.length;
  }

  build() {
    const { buffer, flags, headerNulls, ...columns } = this;
    return {
      bytes: buffer.bytes(),
      flags: Uint8Array.from(flags),
      headerNulls: Uint8Array.from(headerNulls),
      ...columns,
    };
  }
}
