// {{name}}: lets strong earthquakes and whatever is none through, and drops the weak ones.
//
// The setting `least` says from which magnitude on an earthquake is strong; 5.0 if it is not set.
// sdk/eventos.js says what else a handler can do.

import { config, drop, handler, log, pass, reject } from "./sdk/eventos.js";

let least = 5.0;

export const { init, handle } = handler(answer, start);

/** Runs once in each new instance; what it throws refuses the handler. */
function start() {
  least = Number(config.get("least") ?? least);
  if (Number.isNaN(least)) throw new Error("least is no number");
}

function answer(evento) {
  if (evento.isTombstone || evento.tipo !== "earthquake") return pass();
  const { mag } = evento.json();
  if (mag == null) return reject("it has no magnitude");
  if (mag < least) return drop();
  log.info(`magnitude ${mag}`);
  return pass();
}
