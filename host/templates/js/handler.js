// {{name}}: drops weak earthquakes, marks strong ones and emits them to a topic, and passes all other Eventos.
//
// Settings: `least`, the least magnitude of a strong earthquake, 5.0 by default; `alerts`, the topic to emit them to, none
// by default. sdk/eventos.js documents what else a handler can do.

import { config, drop, emit, handler, log, pass, reject, replace } from "./sdk/eventos.js";

let settings;

export const { init, handle } = handler(handleEvento, start);

/** Runs once in each new instance. If it throws, the handler does not start. */
function start() {
  settings = config.typed({ least: 5.0, alerts: "" });
}

function handleEvento(evento) {
  if (evento.isTombstone || evento.tipo !== "earthquake") return pass();
  const { mag } = evento.json();
  if (typeof mag !== "number") return reject("the earthquake has no magnitude");
  if (mag < settings.least) return drop();
  log.info("strong earthquake", { id: evento.id, mag });
  if (settings.alerts !== "") {
    // The topic has to be in the handler's setting `produce` as well.
    emit.send(settings.alerts, evento, { key: evento.id, value: evento.value, headers: [{ name: "mag", value: String(mag) }] });
  }
  // Sets one member, and leaves all others as they are, byte for byte.
  const record = evento.toRecord();
  const headers = [...record.headers, { name: "marked-by", value: "{{handler}}" }];
  return replace([{ ...record, value: evento.setAt("/level", '"strong"'), headers }]);
}
