/** Converts the settings of a handler, which are texts, to the types that its author asks for. */
import { brief } from "./format.js";

/** What `config.typed` asks for: a type, or a default that has it. */
const TYPES = new Map([
  [String, "string"],
  [Number, "number"],
  [Boolean, "boolean"],
  [Array, "array"],
  [Object, "object"],
]);

const EXPECTED = {
  string: "a string",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a table",
};

/** Returns an object with a member for each of `wanted`. Throws an error that names the setting and what was expected. */
export function typed(settings, wanted) {
  const texts = new Map(settings);
  for (const key of texts.keys()) {
    if (!Object.hasOwn(wanted, key)) {
      throw new Error(`invalid settings: unknown key \`${key}\`; expected one of ${Object.keys(wanted).join(", ")}`);
    }
  }
  const typed = {};
  for (const [key, want] of Object.entries(wanted)) {
    const type = TYPES.get(want) ?? typeOf(want);
    if (EXPECTED[type] === undefined) {
      throw new TypeError(`config.typed does not support ${brief(want)} as the type or default of \`${key}\``);
    }
    if (texts.has(key)) typed[key] = convert(key, texts.get(key), type);
    else if (TYPES.has(want)) throw new Error(`invalid settings: missing key \`${key}\``);
    else typed[key] = want;
  }
  return typed;
}

function convert(key, text, type) {
  if (type === "string") return text;
  let value = text;
  try {
    value = JSON.parse(text);
  } catch {
    // It is a string, for which the daemon gives no JSON.
  }
  if (typeOf(value) !== type) {
    throw new Error(`invalid settings: \`${key}\` is ${JSON.stringify(value)}; expected ${EXPECTED[type]}`);
  }
  if (type === "number" && (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))) {
    throw new Error(`invalid settings: \`${key}\` is ${text}, which a number of JavaScript does not represent`);
  }
  return value;
}

function typeOf(value) {
  if (Array.isArray(value)) return "array";
  return value === null ? "null" : typeof value;
}
