// {{name}}: drops weak earthquakes, and passes strong ones and all other Eventos.
//
// The setting `least` is the least magnitude of a strong earthquake, 5.0 by default.
// sdk/eventos.js documents what else a handler can do.

import { config, drop, handler, log, pass, reject } from "./sdk/eventos.js";

let least = 5.0;

export const { init, handle } = handler(handleEvento, start);

/** Runs once in each new instance. If it throws, the handler does not start. */
function start() {
  least = Number(config.get("least") ?? least);
  if (Number.isNaN(least)) throw new Error("the setting least is not a number");
}

function handleEvento(evento) {
  if (evento.isTombstone || evento.tipo !== "earthquake") return pass();
  const { mag } = evento.json();
  if (mag == null) return reject("the earthquake has no magnitude");
  if (mag < least) return drop();
  log.info(`magnitude ${mag}`);
  return pass();
}
