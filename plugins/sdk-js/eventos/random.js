/**
 * `Math.random` and `crypto` for handlers. Their numbers follow from the record that the handler was called with (topic,
 * partition and offset) and from the name of the handler: they differ from record to record and from handler to handler,
 * and a replay gives the same again. The engine's own generator was seeded when the handler was built, so it would give
 * the same numbers in each instance.
 *
 * Whoever knows the record can compute the numbers.
 */
import hostConfig from "eventos:handler/config@1.0.0";

import { current } from "./current.js";
import { encode } from "./bytes.js";

/** The state of the generator sfc32 (Chris Doty-Humphrey, PractRand). */
let [a, b, c, counter] = [0, 0, 0, 1];
/** What the generator was seeded for. */
let [batch, offset] = [undefined, undefined];
let name = null;
/** Counts the instances' own seeds, in case that the clock stands still. */
let starts = 0;

/** Forgets the numbers that were drawn when the handler was built. To be called when an instance starts. */
export function start() {
  [batch, offset] = [undefined, undefined];
}

/** Returns 32 random bits. */
function next() {
  const at = current.index === null ? null : current.batch.offsets[current.index];
  if (batch !== current.batch || offset !== at) {
    [batch, offset] = [current.batch, at];
    seed();
  }
  return step();
}

function step() {
  const sum = (((a + b) | 0) + counter) | 0;
  counter = (counter + 1) | 0;
  a = b ^ (b >>> 9);
  b = (c + (c << 3)) | 0;
  c = (((c << 21) | (c >>> 11)) + sum) | 0;
  return sum >>> 0;
}

/** Seeds the generator for the current record, or for this instance where there is none. */
function seed() {
  name ??= hostConfig.get("eventos.handler") ?? "";
  const source =
    offset === null ? `${name} ${Date.now()} ${globalThis.performance?.now()} ${starts++}` : `${name} ${batch.topic} ${batch.partition} ${offset}`;
  [a, b, c] = [fnv(source, 0x811c9dc5), fnv(source, 0x9e3779b9), fnv(source, 0x85ebca6b)];
  counter = 1;
  // As many steps as it takes until each bit of the seed has changed each bit of the state.
  for (let i = 0; i < 15; i++) step();
}

/** Returns the 32-bit FNV-1a hash of a text, beginning with this basis, with its bits mixed. */
function fnv(text, basis) {
  let hash = basis;
  for (const byte of encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Returns a number from 0 up to but not including 1, with 53 random bits. */
function random() {
  return ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** Fills an array of integers, of at most 65,536 bytes as everywhere, and returns it. */
function getRandomValues(array) {
  const isOfIntegers = ArrayBuffer.isView(array) && !(array instanceof DataView) && !/^Float/.test(array.constructor.name);
  if (!isOfIntegers) throw new TypeError("getRandomValues takes a typed array of integers");
  if (array.byteLength > 65_536) throw new RangeError(`getRandomValues fills at most 65536 bytes, not ${array.byteLength}`);
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (let i = 0, bits = 0; i < bytes.length; i++, bits >>>= 8) {
    if (i % 4 === 0) bits = next();
    bytes[i] = bits & 0xff;
  }
  return array;
}

/** Returns a UUID of version 4. */
function randomUUID() {
  const bytes = getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const define = (of, name, value) => Object.defineProperty(of, name, { value, writable: true, configurable: true });
define(Math, "random", random);
define(globalThis, "crypto", { getRandomValues, randomUUID });
