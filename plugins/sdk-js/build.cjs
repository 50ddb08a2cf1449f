// Makes a component of a handler: `node build.cjs FOLDER WIT OUT`. FOLDER has `handler.js` and
// `eventos.js`, WIT is the folder of the contract. Needs the npm package componentize-qjs, and uses
// its QuickJS that is optimised for size, without WASI.
//
// The contract's export `init` collides with a symbol of that QuickJS ("duplicate items detected",
// componentize-qjs 0.4.5). So the component is made with the export `boot`, and renamed.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { componentize } = require("componentize-qjs");

const [FREE, TAKEN] = ["boot", "init"];

async function build(folder, wit, out) {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "eventos-js-"));
  try {
    for (const file of fs.readdirSync(wit).filter((name) => name.endsWith(".wit"))) {
      const text = fs.readFileSync(path.join(wit, file), "utf8");
      fs.writeFileSync(path.join(work, file), text.replace(`export ${TAKEN}:`, `export ${FREE}:`));
    }
    const entry = path.join(path.resolve(folder), "handler.js");
    const made = await componentize({
      witPath: work,
      world: "handler",
      jsSource: `${fs.readFileSync(entry, "utf8")}\nexport { ${TAKEN} as ${FREE} };\n`,
      jsPath: entry,
      moduleRoot: path.resolve(folder),
      stubWasi: true,
      sync: true,
      optSize: true,
    });
    fs.writeFileSync(out, renamed(made.component));
  } finally {
    fs.rmSync(work, { recursive: true });
  }
}

/** With the export FREE called TAKEN; both have the same length, so that nothing moves. */
function renamed(component) {
  const EXPORTS = 11;
  // After the preamble of eight bytes come sections: an id, a length, and their contents.
  for (let at = 8; at < component.length; ) {
    const id = component[at];
    const [length, start] = leb(component, at + 1);
    const exports = component.subarray(start, start + length);
    const found = id === EXPORTS ? exports.indexOf(`${String.fromCharCode(FREE.length)}${FREE}`) : -1;
    if (found >= 0) {
      exports.write(TAKEN, found + 1);
      return component;
    }
    at = start + length;
  }
  throw new Error(`the component has no export ${FREE}`);
}

/** A number in LEB128; answers it, and where it ends. */
function leb(bytes, at) {
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
  console.error(`error: ${folder} does not become a handler: ${error.message}`);
  process.exit(1);
});
