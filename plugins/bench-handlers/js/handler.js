// The handler in ../src, written in JavaScript.

import { drop, handler, pass, replace } from "./eventos.js";

const MARK = { name: "seen-by", value: "bench" };

export const { init, handle } = handler((evento) => {
  const { tipo, value } = evento;
  if (value === null || value.length === 0 || value[0] === 0x21) return drop();
  if (tipo !== "mark") return pass();
  const record = evento.toRecord();
  return replace([{ ...record, headers: [...record.headers, MARK] }]);
});
