/** Text as UTF-8 bytes and back, and bytes that are collected in pieces. */

const NOTHING = new Uint8Array();

// QuickJS has neither TextEncoder nor TextDecoder, and its strings are UTF-16. Percent-encoding goes
// through compiled code of the engine; ASCII, which is most input, takes a shorter path.

/** Returns the UTF-8 bytes of a string. A lone surrogate becomes U+FFFD. */
export function encode(text) {
  const isAscii = /^[\0-\x7f]*$/.test(text);
  const chars = isAscii ? text : unescape(encodeURIComponent(text.toWellFormed()));
  const bytes = new Uint8Array(chars.length);
  for (let i = 0; i < chars.length; i++) bytes[i] = chars.charCodeAt(i);
  return bytes;
}

/** Returns the string of UTF-8 bytes, which ids, tipos, values and header names always are. */
export function decode(bytes) {
  let chars = "";
  // Decode in pieces, because each byte is an argument of the call.
  for (let at = 0; at < bytes.length; at += 4096) {
    // `apply` takes half of the time that a spread takes in QuickJS.
    chars += String.fromCharCode.apply(null, bytes.length <= 4096 ? bytes : bytes.subarray(at, at + 4096));
  }
  return /^[\0-\x7f]*$/.test(chars) ? chars : decodeURIComponent(escape(chars));
}

/** Bytes that are collected in pieces. */
export class Buffer {
  pieces = [];
  length = 0;

  /** Appends a `Uint8Array`, a string as UTF-8, or nothing for null, and returns the index after it. */
  push(piece) {
    const bytes = typeof piece === "string" ? encode(piece) : (piece ?? NOTHING);
    this.pieces.push(bytes);
    this.length += bytes.length;
    return this.length;
  }

  bytes() {
    const whole = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}
