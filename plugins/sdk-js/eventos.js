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
 * a string, which it encodes as UTF-8. A value of another type is an exception that names it: null
 * only comes from null. The files in the folder `eventos` belong to this one.
 */
import hostConfig from "eventos:handler/config@1.0.0";
import hostEmit from "eventos:handler/emit@1.0.0";
import hostLog from "eventos:handler/log@1.0.0";
import hostStore from "eventos:handler/store@1.0.0";

import { current } from "./eventos/current.js";
import { Evento } from "./eventos/evento.js";
import { brief, describe, format } from "./eventos/format.js";
import { OutcomeColumns } from "./eventos/outcome.js";
import { start as startRandom } from "./eventos/random.js";
import { typed } from "./eventos/settings.js";
import { RecordColumns, checkedRecord } from "./eventos/record.js";

export { decode, encode } from "./eventos/bytes.js";
export { Evento } from "./eventos/evento.js";
export { drop, pass, reject, replace, retry } from "./eventos/outcome.js";
export * as pointer from "./eventos/pointer.js";

let stored = [];
// The emitted records by topic, buffered until the end of the batch so that each topic takes one call.
let emitted = new Map();

export const store = {
  /**
   * Appends the Evento to the store that `GET /messages` serves. This takes effect when the call that
   * handles the batch returns, unless the outcome is retry or reject. Ignores a tombstone.
   */
  append(evento) {
    const index = Evento.indexIn(current.batch, evento, "the argument of store.append");
    if (!evento.isTombstone) stored.push(index);
  },
};

export const emit = {
  /**
   * Emits a record to a topic that is listed in the handler's `produce` setting, on behalf of `cause`.
   * This takes effect when the call that handles the batch returns, unless the outcome of `cause` is
   * retry or reject. Any other topic ends the call with a trap. A record is what `replace` takes.
   */
  send(topic, cause, record) {
    if (typeof topic !== "string") throw new TypeError(`the topic is ${brief(topic)}; it must be a string`);
    const index = Evento.indexIn(current.batch, cause, "the cause");
    const checked = checkedRecord(record, "the record");
    if (!emitted.has(topic)) emitted.set(topic, { sources: [], records: new RecordColumns() });
    const { sources, records } = emitted.get(topic);
    sources.push(index);
    records.push(checked);
  },
};

/** The table `[handler.NAME.config]`. Strings are returned as they are, other values as JSON text. */
export const config = {
  /** Returns one setting, or null if the key is not set. */
  get(key) {
    if (typeof key !== "string") throw new TypeError(`the key of a setting is ${brief(key)}; it must be a string`);
    return hostConfig.get(key.toWellFormed()) ?? null;
  },
  /**
   * Returns all settings as an object, with a type for each: `config.typed({ least: 5.0, strict: false, name: String })`.
   * A member is the default, whose type the setting must have, or a type: `String`, `Number`, `Boolean`, `Array` or
   * `Object`, if the setting has no default. Throws an error that names the setting if one is missing, unknown or of another
   * type. Call it in `start`.
   */
  typed: (wanted) => typed(hostConfig.all(), wanted),
  /** Returns `[key, value]` of every setting, in ascending order of the keys. */
  all: () => hostConfig.all(),
};

const write = (level) => (...parts) => hostLog.write(level, current.index, format(...parts));

/**
 * Writes lines to the daemon's log, with the handler's name, the partition and the offset. Strings are
 * written as they are, other values similar to a literal.
 */
export const log = {
  trace: write("trace"),
  debug: write("debug"),
  info: write("info"),
  warn: write("warn"),
  error: write("error"),
};

// The QuickJS that handlers are built with has no console, so this one writes to the log.
if (typeof globalThis.console === "undefined") {
  globalThis.console = { ...log, log: log.info };
}

/**
 * Returns the functions that the file of a handler must export. `handleEvento` is called with each Evento
 * and returns an outcome. `start` is optional and called once in each new instance; if it throws, the
 * daemon refuses to load the handler and reports the text.
 */
export function handler(handleEvento, start = () => {}) {
  for (const [what, it] of [["handler", handleEvento], ["start", start]]) {
    if (typeof it !== "function") throw new TypeError(`the ${what} is ${brief(it)}; it must be a function`);
  }
  return {
    init() {
      startRandom();
      try {
        start();
      } catch (error) {
        // In the binding of the component model, what is thrown is the error, and it must be a string.
        throw error instanceof Error ? String(error.message).toWellFormed() : format(error);
      }
    },

    handle(batch) {
      current.batch = batch;
      try {
        const outcomes = new OutcomeColumns();
        for (let index = 0; index < batch.offsets.length; index++) {
          current.index = index;
          outcomes.push(handleEvento(new Evento(batch, index)));
        }
        current.index = null;
        flush();
        return outcomes.build();
      } catch (error) {
        // The dead letter quotes this line, because the exception itself becomes a trap without a text.
        log.error(describe(error));
        throw error;
      }
    },
  };
}

function flush() {
  if (stored.length > 0) hostStore.append(stored);
  for (const [topic, { sources, records }] of emitted) hostEmit.send(topic.toWellFormed(), sources, records.build());
  stored = [];
  emitted = new Map();
}
