// The probe in ../src, written in JavaScript: the `tipo` of each Evento says what to do with it. The suite
// host/tests/suite/handlers/languages.rs runs it with the same expectations as the others.

import { config, drop, emit, handler, log, pass, reject, replace, retry, store } from "./eventos.js";
import { makeMistake } from "./mistakes.js";

export const { init, handle } = handler(handleEvento, start);

function start() {
  const text = config.get("fail_init");
  if (text !== null) throw new Error(`fail_init is set: ${text}`);
}

function handleEvento(evento) {
  const tipo = evento.isTombstone ? config.get("tombstone") : evento.tipo;
  switch (tipo) {
    case "drop":
      return drop();
    case "replace": {
      const second = part(evento, 2);
      return replace([part(evento, 1), { ...second, headers: [...second.headers, { name: "part", value: "2" }] }]);
    }
    case "replace-none":
      return replace([]);
    case "replace-tombstone":
      return replace([{ key: evento.id, value: null }]);
    case "echo":
      return replace([evento.toRecord()]);
    case "retry":
      return retry(`${evento.id} is asked to be retried`);
    case "reject":
      return reject(`${evento.id} is asked to be rejected`);
    case "headers":
      return reject(describe(evento));
    case "config":
      return reject(`[${config.all().map(([key, value]) => `("${key}", "${value}")`).join(", ")}]`);
    case "panic":
      throw new Error("asked to panic");
    case "spin":
      for (;;);
    case "grow":
      for (const hoard = []; ; ) hoard.push(new Uint8Array(1 << 20).fill(1));
    case "recurse":
      recurse(1);
      return pass();
    case "store":
    case "store-reject":
    case "store-retry":
    case "store-panic":
      store.append(evento);
      return outcomeAfterEffect(tipo);
    case "emit-forbidden":
      emit.send("forbidden", evento, fullRecord(evento));
      return pass();
    case "emit":
    case "emit-reject":
    case "emit-retry":
    case "emit-panic":
      emit.send(config.get("emit_to"), evento, fullRecord(evento));
      return outcomeAfterEffect(tipo);
    case "log":
    case "log-panic":
      for (const level of ["trace", "debug", "info", "warn", "error"]) log[level](`${evento.id} at ${level}`);
      return outcomeAfterEffect(tipo);
    case "js-print":
      console.log("out of JavaScript");
      return reject("printed");
    case "random": {
      const numbers = [Math.random(), crypto.getRandomValues(new Uint32Array(2)).join("-"), crypto.randomUUID()];
      return replace([{ value: JSON.stringify({ id: evento.id, tipo: "random", numbers }) }]);
    }
    case "js-clock":
      return reject(`wall ${Date.now()}`);
    default:
      return tipo?.startsWith("mistake-") ? makeMistake(tipo, evento) : pass();
  }
}

/** Ends the handling after an effect as the suffix of the tipo says, so that a test can see whether the effect counts. */
function outcomeAfterEffect(tipo) {
  if (tipo.endsWith("-reject")) return reject("rejected after an effect");
  if (tipo.endsWith("-retry")) return retry("retried after an effect");
  if (tipo.endsWith("-panic")) throw new Error("panicked after an effect");
  return pass();
}

function recurse(levels) {
  return recurse(levels + 1) + levels;
}

/** Returns a record with a new value and the key, headers and timestamp of its source. */
function part(evento, number) {
  return { ...evento.toRecord(), value: `{"id":"part-${number}","tipo":"part","of":${evento.text}}` };
}

/** Returns a record with every part that a record can have. */
function fullRecord(evento) {
  const headers = [
    { name: "a", value: "1" },
    { name: "nothing", value: null },
    { name: "a", value: "2" },
  ];
  return { key: `key of ${evento.id}`, value: evento.value, headers, timestamp: 1_700_000_000_000 };
}

function describe(evento) {
  const headers = evento.headers.map(({ name, value }) => `${name}=${quoted(value)}`).join(", ");
  const members = {
    id: `"${evento.id}"`,
    integer: evento.idIsInteger,
    tipo: `"${evento.tipo}"`,
    key: quoted(evento.key),
    value: quoted(evento.value),
    headers: `[${headers}]`,
    timestamp: evento.timestamp === null ? "None" : `Some(${evento.timestamp})`,
    log_append_time: evento.logAppendTime,
    tombstone: evento.isTombstone,
    topic: evento.topic,
    partition: evento.partition,
    offset: evento.offset,
  };
  return Object.entries(members)
    .map(([name, member]) => `${name}=${member}`)
    .join("; ");
}

/** Returns bytes in the form of Rust's `escape_ascii`. */
function quoted(bytes) {
  if (bytes === null) return "null";
  const escaped = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    if (`"'\\`.includes(char)) return `\\${char}`;
    return byte >= 32 && byte < 127 ? char : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `"${escaped.join("")}"`;
}
