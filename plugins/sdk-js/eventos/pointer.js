/**
 * JSON pointers (RFC 6901), such as `/geometry/coordinates/2`: read and set one value of a JSON text and leave the rest byte
 * for byte, with every digit.
 *
 * A `/` precedes each member name or array index. Within a name, `~1` means `/` and `~0` means `~`.
 */
import { brief } from "./format.js";

/** Returns the JSON text of the value at this place, or null if there is none. */
export function get(document, pointer) {
  const found = find(document, namesOf(pointer));
  return found === null ? null : document.slice(...found);
}

/**
 * Returns the document with the value at this place replaced with `text`, which is JSON. A member that an object lacks is
 * added at its end, and so is the element of an array after its last one, whose index may be `-`. Throws an error if `text`
 * is not JSON, or the object or array to add to does not exist.
 */
export function set(document, pointer, text) {
  const names = namesOf(pointer);
  check(text);
  const found = find(document, names);
  if (found !== null) return document.slice(0, found[0]) + text + document.slice(found[1]);
  const parent = find(document, names.slice(0, -1));
  if (parent === null) throw new Error(`there is nothing at the parent of ${JSON.stringify(pointer)}`);
  const [start, end] = parent;
  const children = childrenOf(document, start);
  const name = names.at(-1);
  const isObject = document[start] === "{";
  if (!isObject && (document[start] !== "[" || (name !== "-" && name !== String(children.length)))) {
    throw new Error(`nothing can be added at ${JSON.stringify(pointer)}`);
  }
  // Before the closing brace or bracket, and the space in front of it.
  const at = start + document.slice(start, end - 1).trimEnd().length;
  const added = `${children.length > 0 ? "," : ""}${isObject ? `${JSON.stringify(name)}:` : ""}${text}`;
  return document.slice(0, at) + added + document.slice(at);
}

function namesOf(pointer) {
  const [first, ...names] = typeof pointer === "string" ? pointer.split("/") : ["not a string"];
  if (first !== "") {
    throw new Error(`${brief(pointer)} is not a JSON pointer: it must begin with a slash, as in "/mag"`);
  }
  return names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function check(text) {
  if (typeof text !== "string") throw new TypeError(`the JSON is ${brief(text)}; it must be a string, as JSON.stringify returns it`);
  try {
    JSON.parse(text);
  } catch {
    throw new Error(`${brief(text)} is not JSON`);
  }
}

/** Returns where the value begins and ends; null if there is none. */
function find(document, names) {
  let [start, end] = [skipSpace(document, 0), document.trimEnd().length];
  for (const name of names) {
    // The last one, if the name of a member repeats.
    const child = childrenOf(document, start).findLast((child) => child.name === name);
    if (child === undefined) return null;
    ({ start, end } = child);
  }
  return [start, end];
}

/** Returns the name or index of each member or element of the value at this index, and where it begins and ends. */
function childrenOf(document, at) {
  const children = [];
  const isObject = document[at] === "{";
  if (!isObject && document[at] !== "[") return children;
  for (at = skipSpace(document, at + 1); document[at] !== "}" && document[at] !== "]"; ) {
    let name = String(children.length);
    if (isObject) {
      const end = endOfString(document, at);
      name = JSON.parse(document.slice(at, end));
      at = skipSpace(document, skipSpace(document, end) + 1);
    }
    const end = endOfValue(document, at);
    children.push({ name, start: at, end });
    at = skipSpace(document, end);
    if (document[at] === ",") at = skipSpace(document, at + 1);
  }
  return children;
}

function endOfValue(document, at) {
  if (document[at] === '"') return endOfString(document, at);
  if (document[at] !== "{" && document[at] !== "[") return next(/[\s,\]}]|$/g, document, at).index;
  for (let depth = 0; ; ) {
    const { index, 0: char } = next(/["{}[\]]/g, document, at);
    at = char === '"' ? endOfString(document, index) : index + 1;
    if (char === "{" || char === "[") depth += 1;
    if (char === "}" || char === "]") depth -= 1;
    if (depth === 0) return at;
  }
}

function endOfString(document, at) {
  for (let quote = document.indexOf('"', at + 1); quote !== -1; quote = document.indexOf('"', quote + 1)) {
    let before = quote - 1;
    while (document[before] === "\\") before -= 1;
    // A quote after an odd number of backslashes is escaped.
    if ((quote - before) % 2 === 1) return quote + 1;
  }
  throw new Error("the document is not JSON");
}

function next(pattern, document, at) {
  pattern.lastIndex = at;
  const found = pattern.exec(document);
  if (found === null) throw new Error("the document is not JSON");
  return found;
}

function skipSpace(document, at) {
  while (at < document.length && " \t\n\r".includes(document[at])) at += 1;
  return at;
}
