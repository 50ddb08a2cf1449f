// Builds a handler into a component: `node build.cjs FOLDER WIT OUT`. FOLDER contains `handler.js` and,
// anywhere below it, `eventos.js`; WIT is the folder of the contract. Needs the npm package
// componentize-qjs, and uses its QuickJS build that is optimised for size. The daemon provides the WASI
// imports that this QuickJS needs for `Date`.
//
// The component keeps an export `init` that componentize-qjs used to prepare QuickJS (as of version 0.4.5;
// a second `init` fails with "duplicate items detected"). So the contract's `init` is built under the
// name `boot`, and afterwards the exports are renamed: QuickJS's `init` to `done`, and `boot` to `init`.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { componentize } = require("componentize-qjs");

const [FREE, TAKEN] = ["boot", "init"];
/** New names of exports. They have the same length as the old ones, so that no offset changes. */
const RENAMED = { [TAKEN]: "done", [FREE]: TAKEN };

async function build(folder, wit, out) {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "eventos-js-"));
  try {
    for (const file of fs.readdirSync(wit).filter((name) => name.endsWith(".wit"))) {
      const text = fs.readFileSync(path.join(wit, file), "utf8");
      fs.writeFileSync(path.join(work, file), text.replace(`export ${TAKEN}:`, `export ${FREE}:`));
    }
    const entry = path.join(path.resolve(folder), "handler.js");
    const built = await componentize({
      witPath: work,
      world: "handler",
      jsSource: `${fs.readFileSync(entry, "utf8")}\nexport { ${TAKEN} as ${FREE} };\n`,
      jsPath: entry,
      moduleRoot: path.resolve(folder),
      stubWasi: false,
      sync: true,
      optSize: true,
    });
    fs.writeFileSync(out, renameExports(built.component));
  } finally {
    fs.rmSync(work, { recursive: true });
  }
}

/** Renames exports of the outermost component in place, as RENAMED says, and returns the component. */
function renameExports(component) {
  const EXPORTS = 11;
  const found = new Set();
  // A preamble of eight bytes is followed by sections. Each has an id, a length and contents.
  for (let at = 8; at < component.length; ) {
    const [length, start] = readLeb128(component, at + 1);
    if (component[at] === EXPORTS) {
      const exports = component.subarray(start, start + length);
      // A count, then for each export a zero byte, the length of its name, the name, and other fields.
      const [count, first] = readLeb128(exports, 0);
      const [size, name] = readLeb128(exports, first + 1);
      const old = exports.toString("utf8", name, name + size);
      if (count === 1 && old in RENAMED) {
        exports.write(RENAMED[old], name);
        found.add(old);
      }
    }
    at = start + length;
  }
  if (!found.has(FREE)) {
    throw new Error(`the component has no export ${FREE}: is componentize-qjs the version in toolchain.txt?`);
  }
  return component;
}

/** Reads a LEB128 number. Returns it and the index after it. */
function readLeb128(bytes, at) {
  let [number, shift] = [0, 0];
  for (;;) {
    const byte = bytes[at++];
    number += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [number, at];
    shift += 7;
  }
}

const [folder, wit, out] = process.argv.slice(2);
if (out === undefined) {
  console.error("usage: node build.cjs FOLDER WIT OUT");
  process.exit(2);
}
build(folder, wit, out).catch((error) => {
  console.error(`error: cannot build a handler from ${folder}: ${error.message}`);
  process.exit(1);
});
