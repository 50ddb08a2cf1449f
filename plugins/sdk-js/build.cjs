// Makes a component of a handler: `node build.cjs FOLDER WIT OUT`. FOLDER has `handler.js` and,
// somewhere in it, `eventos.js`; WIT is the folder of the contract. Needs the npm package
// componentize-qjs, and uses its QuickJS that is optimised for size. What that imports of WASI, for
// `Date`, the daemon satisfies.
//
// That QuickJS leaves an export `init` of its own, with which it was prepared, in the component
// (componentize-qjs 0.4.5; "duplicate items detected" if there is another). So the contract's `init`
// is made as `boot`; then QuickJS's becomes `done`, and `boot` becomes `init`.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { componentize } = require("componentize-qjs");

const [FREE, TAKEN] = ["boot", "init"];
/** What is called how in the end; all of one length, so that nothing moves. */
const RENAMED = { [TAKEN]: "done", [FREE]: TAKEN };

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
      stubWasi: false,
      sync: true,
      optSize: true,
    });
    fs.writeFileSync(out, renamed(made.component));
  } finally {
    fs.rmSync(work, { recursive: true });
  }
}

/** With the exports of the outermost component called as RENAMED says. */
function renamed(component) {
  const EXPORTS = 11;
  const found = new Set();
  // After the preamble of eight bytes come sections: an id, a length, and their contents.
  for (let at = 8; at < component.length; ) {
    const [length, start] = leb(component, at + 1);
    if (component[at] === EXPORTS) {
      const exports = component.subarray(start, start + length);
      // A count, then for each export a zero, its name with its length before it, and more.
      const [count, first] = leb(exports, 0);
      const [size, name] = leb(exports, first + 1);
      const old = exports.toString("utf8", name, name + size);
      if (count === 1 && old in RENAMED) {
        exports.write(RENAMED[old], name);
        found.add(old);
      }
    }
    at = start + length;
  }
  if (!found.has(FREE)) throw new Error(`the component has no export ${FREE} where it is looked for`);
  return component;
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
