// {{name}}: lets strong earthquakes and whatever is none through, and drops the weak ones.
// sdk/eventos.js says what else a handler can do.

import { config, drop, handler, pass } from "./sdk/eventos.js";

let least = 5.0;

export const { init, handle } = handler(answer, start);

/** Runs once in each new instance; what it throws refuses the handler. */
function start() {
  least = Number(config.get("least") ?? least);
}

function answer(evento) {
  if (evento.tipo !== "sismo" || evento.isTombstone) return pass();
  return (evento.json().magnitud ?? 0) >= least ? pass() : drop();
}
