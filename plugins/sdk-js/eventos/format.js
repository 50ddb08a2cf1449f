/** Values as text: for the log, and for the errors of this SDK. */

const MAX_DEPTH = 4;
const MAX_ITEMS = 100;
/** The daemon cuts a longer line. */
const MAX_LENGTH = 8192;

/** Returns the arguments of `console.log` as one line: strings as they are, everything else as `inspect` shows it. */
export function format(...parts) {
  if (typeof parts[0] === "string" && parts.length > 1) parts = substituted(parts);
  const text = parts.map((part) => (typeof part === "string" ? part : inspect(part))).join(" ");
  return text.slice(0, MAX_LENGTH + 1).toWellFormed();
}

/** Replaces `%s`, `%d`, `%j` and so on in the first argument by the arguments that follow. */
function substituted([text, ...rest]) {
  const filled = text.replace(/%[sdifjoOc%]/g, (place) => {
    if (place === "%%") return "%";
    if (rest.length === 0) return place;
    const part = rest.shift();
    if (place === "%c") return "";
    if (place === "%d" || place === "%f") return typeof part === "object" ? "NaN" : String(Number(part));
    if (place === "%i") return typeof part === "object" ? "NaN" : String(Math.trunc(Number(part)));
    return typeof part === "string" && place === "%s" ? part : inspect(part);
  });
  return [filled, ...rest];
}

/** Returns a value as one line, similar to a literal. Deep and long values are cut. */
export function inspect(value) {
  try {
    return shown(value, []);
  } catch {
    // A getter, a `toJSON` or a proxy of the author's throws.
    return "[cannot be shown]";
  }
}

function shown(value, parents) {
  if (typeof value === "string") return JSON.stringify(value.slice(0, MAX_LENGTH));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return value.name === "" ? "[function]" : `[function ${value.name}]`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return String(value);
  if (parents.includes(value)) return "[circular]";
  if (value instanceof Error) return `[${errorLine(value)}]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[invalid date]" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (parents.length === MAX_DEPTH) return Array.isArray(value) ? "[…]" : "{…}";
  return container(value, [...parents, value]);
}

function container(value, parents) {
  const inner = (item) => shown(item, parents);
  if (Array.isArray(value)) return `[${listed(value, inner)}]`;
  if (ArrayBuffer.isView(value) && "length" in value) return `${nameOf(value)}(${value.length}) [${listed(value, inner)}]`;
  if (value instanceof Map) return `Map {${listed(value, ([key, item]) => `${inner(key)} => ${inner(item)}`)}}`;
  if (value instanceof Set) return `Set {${listed(value, inner)}}`;
  const member = (key) => `${/^[\w$]+$/.test(key) ? key : JSON.stringify(key)}: ${inner(value[key])}`;
  const name = nameOf(value);
  const body = listed(Object.keys(value), member);
  return `${name === "Object" ? "" : `${name} `}{${body}}`;
}

function listed(items, show) {
  const texts = [];
  for (const item of items) {
    if (texts.length === MAX_ITEMS) {
      texts.push("…");
      break;
    }
    texts.push(show(item));
  }
  return texts.join(", ");
}

function nameOf(value) {
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "" ? name : "Object";
}

/** Returns a value as it appears in an error of this SDK: short, and with its type. */
export function brief(value) {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const name = nameOf(value);
    return name === "Object" ? `the object ${cut(inspect(value))}` : `a ${name}`;
  }
  if (Array.isArray(value)) return `the array ${cut(inspect(value))}`;
  if (value === undefined || value === null || typeof value === "function") return inspect(value);
  return `the ${typeof value} ${cut(inspect(value))}`;
}

function cut(text) {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** Returns what was thrown and where, in one line, because logs and dead letters are read line by line. */
export function describe(thrown) {
  if (!(thrown instanceof Error)) return oneLine(typeof thrown === "string" ? thrown : inspect(thrown));
  const lines = String(thrown.stack ?? "").split("\n").map((line) => line.trim());
  const places = lines.filter((line) => /^at .*:\d/.test(line));
  // The place in the author's file says more than the one in this SDK that noticed it.
  const place = places.find((line) => !/\beventos(\.js|\/\w+\.js)/.test(line)) ?? places[0];
  return oneLine(`${errorLine(thrown)} ${place ?? ""}`);
}

function errorLine(error) {
  const cause = error.cause === undefined ? "" : ` (cause: ${error.cause instanceof Error ? errorLine(error.cause) : inspect(error.cause)})`;
  return `${error}${cause}`;
}

function oneLine(text) {
  return text.replaceAll(/\s*\n\s*/g, " ").trim().slice(0, MAX_LENGTH).toWellFormed();
}
