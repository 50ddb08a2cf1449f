// Mistakes of an author that the SDK has to refuse with their reason.

import { emit, log, reject, replace } from "./eventos.js";

/** Makes the mistake with this name and returns what results from it. */
export function makeMistake(name, evento) {
  switch (name) {
    case "mistake-text":
      return replace([evento.text]);
    case "mistake-record":
      return replace(evento.toRecord());
    case "mistake-key":
      return replace([{ key: evento.id }]);
    case "mistake-emit":
      return emit.send("t", evento, evento.json());
    case "mistake-headers":
      return replace([{ value: evento.text, headers: [["a", "b"]] }]);
    case "mistake-timestamp":
      return replace([{ value: evento.text, timestamp: NaN }]);
    case "mistake-date":
      return replace([{ value: evento.text, timestamp: new Date() }]);
    case "mistake-reason":
      return reject({ why: "no luck" });
    case "mistake-lines":
      throw new Error("no\nluck");
    case "mistake-log":
      // These are none: they are understood.
      log.info(5);
      log.info("\ud800");
      console.log({ a: [1] });
      return reject(new RangeError("no luck"));
    default:
      throw new Error(`there is no mistake ${name}`);
  }
}
