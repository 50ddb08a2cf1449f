/** The outcome that a handler returns for each Evento. */
import { Buffer } from "./bytes.js";
import { brief, describe } from "./format.js";
import { RecordColumns, checkedRecord } from "./record.js";

const PASS = 0;
const DROP = 1;
const REPLACE = 2;
const RETRY = 3;
const REJECT = 4;

class Outcome {
  constructor(kind, records, reason) {
    this.kind = kind;
    this.records = records;
    this.reason = reason;
  }
}

const PASSED = new Outcome(PASS, null, null);
const DROPPED = new Outcome(DROP, null, null);

/** Passes the Evento on to the next handler unchanged. */
export const pass = () => PASSED;

/** Ends the processing of the Evento. */
export const drop = () => DROPPED;

/**
 * Passes 0 or more records on to the next handler instead. A record is `{ value, key, headers, timestamp }`; all
 * members except the value are optional. Each value is an Evento as JSON, or null for a tombstone. Throws a TypeError
 * if a record is anything else.
 */
export function replace(records) {
  if (typeof records === "string" || typeof records?.[Symbol.iterator] !== "function") {
    throw new TypeError(`replace takes an array of records, not ${brief(records)}`);
  }
  const checked = [];
  for (const record of records) checked.push(checkedRecord(record, "records", checked.length));
  return new Outcome(REPLACE, checked, null);
}

/** Asks the daemon to call the handler with the Evento again, for a transient failure. Discards its effects. */
export const retry = (reason) => new Outcome(RETRY, null, checkedReason(reason, "retry"));

/** Sends the Evento to the dead-letter topic with the reason. Discards its effects. */
export const reject = (reason) => new Outcome(REJECT, null, checkedReason(reason, "reject"));

/** Returns the text of a reason, which is a string or an error. */
function checkedReason(reason, what) {
  if (reason instanceof Error) return describe(reason);
  if (typeof reason === "string") return reason;
  throw new TypeError(`${what} takes the reason as a string or an Error, not ${brief(reason)}`);
}

/** Collects one outcome per record, as columns. */
export class OutcomeColumns {
  kinds = [];
  reasons = new Buffer();
  reasonEnds = [];
  replacements = new RecordColumns();
  replacementEnds = [];

  /** Appends what a handler returned. Throws a TypeError if that is no outcome. */
  push(outcome) {
    if (!(outcome instanceof Outcome)) {
      const hint = outcome instanceof Promise ? "; a handler cannot wait, so it must not be async" : "";
      throw new TypeError(`${brief(outcome)} is not an outcome${hint}; return pass(), drop(), …`);
    }
    this.kinds.push(outcome.kind);
    if (outcome.reason !== null) this.reasonEnds.push(this.reasons.push(outcome.reason));
    if (outcome.kind !== REPLACE) return;
    for (const record of outcome.records) this.replacements.push(record);
    this.replacementEnds.push(this.replacements.length);
  }

  build() {
    return {
      kinds: Uint8Array.from(this.kinds),
      reasons: { bytes: this.reasons.bytes(), ends: this.reasonEnds },
      replacementEnds: this.replacementEnds,
      replacements: this.replacements.build(),
    };
  }
}
