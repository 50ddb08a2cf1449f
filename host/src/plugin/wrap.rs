//! Makes a component of a core module as cargo or clang produces it, like `wasm-tools component new`.
//!
//! wit-bindgen embeds a description of the world into the module, in custom sections `component-type`. These sections
//! are ignored, because their parser trusts its input: a damaged section can make it recurse without end. The exports
//! of the module identify its world, and our own copy of the WIT describes it.

use std::{borrow::Cow, panic};

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use super::{
    LoadFault,
    complexity::{self, Fault},
    messaging, world,
};

/// The module from which functions of WASI preview 1 are imported.
const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// A world that a module may implement.
struct World {
    /// Name of the world, for error messages.
    title: &'static str,
    /// Name of the world in its package.
    name: &'static str,
    /// The export that identifies a module of this world.
    export: &'static str,
    /// The files of the WIT package, with their text.
    wit: &'static [(&'static str, &'static str)],
}

const WORLDS: [World; 2] = [
    World {
        title: world::WORLD,
        name: "handler",
        export: "handle",
        wit: &[
            ("types.wit", include_str!("../../../wit/types.wit")),
            ("host.wit", include_str!("../../../wit/host.wit")),
            ("world.wit", include_str!("../../../wit/world.wit")),
        ],
    },
    World {
        title: messaging::WORLD,
        name: "messaging-request-reply",
        export: "wasi:messaging/incoming-handler@0.2.0-draft#handle",
        wit: &[("messaging.wit", include_str!("../../wit/messaging.wit"))],
    },
];

/// Returns the component to compile for a handler's file: the file itself if it is a component, else one made of the
/// core module.
///
/// The first eight bytes decide: the magic number, followed by version 1 of a module, or else by a component's
/// version and layer. The parser would stumble over anything else.
///
/// # Errors
/// Returns [`LoadFault`] if there is nothing that could be compiled, or too much.
pub(super) fn component(file: &[u8]) -> Result<Cow<'_, [u8]>, LoadFault> {
    let Some(version) = file.strip_prefix(b"\0asm") else {
        return Err(LoadFault::NotWasm);
    };
    let is_module = version.starts_with(&[1, 0, 0, 0]);
    complexity::check(file).map_err(|fault| match fault {
        Fault::Excess(excess) => LoadFault::TooLarge(excess),
        Fault::Damaged(error) if is_module => LoadFault::Damaged(error),
        Fault::Damaged(error) => LoadFault::Compile(wasmtime::format_err!("{error}")),
    })?;
    match is_module {
        true => wrap(file).map(Cow::Owned),
        false => Ok(Cow::Borrowed(file)),
    }
}

fn wrap(file: &[u8]) -> Result<Vec<u8>, LoadFault> {
    let module = Module::read(file)?;
    if module.is_preview_1 {
        return Err(LoadFault::Preview1);
    }
    let Some(world) = module.world else {
        return Err(LoadFault::NoWorld);
    };
    // Dropping a file into the folder must not end the thread that inspects it, whatever assertion the file breaks.
    let encoded = panic::catch_unwind(|| world.encode(module.bytes));
    let encoded = encoded.unwrap_or_else(|_| Err(wasmtime::format_err!("the module is damaged")));
    encoded.map_err(|reason| LoadFault::Wrap {
        world: world.title,
        reason,
    })
}

/// A core module and what its sections say.
struct Module {
    /// All sections except those that describe its world.
    bytes: Vec<u8>,
    world: Option<&'static World>,
    /// Whether it imports WASI preview 1, which has no interfaces that a component could import.
    is_preview_1: bool,
}

impl Module {
    fn read(file: &[u8]) -> wasmparser::Result<Self> {
        let header = 8;
        let mut module = Self {
            bytes: file[..header].to_vec(),
            world: None,
            is_preview_1: false,
        };
        let mut end = header;
        for payload in Parser::new(0).parse_all(file) {
            let payload = payload?;
            match &payload {
                Payload::ImportSection(imports) => {
                    for import in imports.clone().into_imports() {
                        module.is_preview_1 |= import?.module == PREVIEW_1;
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports.clone() {
                        let name = export?.name;
                        let world = WORLDS.iter().find(|world| world.export == name);
                        module.world = module.world.or(world);
                    }
                }
                _ => {}
            }
            let Some((_, content)) = payload.as_section() else {
                continue;
            };
            // Sections follow one another: from the end of the previous one come kind, length and content of this
            // one.
            let start = std::mem::replace(&mut end, content.end);
            let describes_world = |name: &str| name.starts_with("component-type");
            if !matches!(&payload, Payload::CustomSection(it) if describes_world(it.name())) {
                // If it is cut off, the parser reports that next.
                module
                    .bytes
                    .extend(file.get(start..end).unwrap_or_default());
            }
        }
        Ok(module)
    }
}

impl World {
    fn encode(&self, mut module: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        // These crates return errors of `anyhow`, whose causes `wasmtime::Error::from_anyhow` would hide.
        let error = |error| wasmtime::format_err!("{error:#}");
        let mut files = SourceMap::new();
        for (name, text) in self.wit {
            files.push_str(name, *text);
        }
        let mut resolve = Resolve::default();
        let parsed = files.parse().map_err(|(_, error)| error)?;
        let package = resolve.push_group(parsed)?;
        let world = resolve.select_world(&[package], Some(self.name));
        let world = world.map_err(error)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .map_err(error)?;
        let encoder = ComponentEncoder::default();
        let mut encoder = encoder.module(&module).map_err(error)?;
        encoder.encode().map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest module that implements the world.
    const HANDLER: &str = r#"
        (memory (export "memory") 1)
        (func (export "init") (result i32) i32.const 0)
        (func (export "handle") (param i32) (result i32) i32.const 0)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)"#;

    fn module(fields: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {fields})")).expect("valid")
    }

    #[test]
    fn a_module_that_exports_a_handler_becomes_a_component_of_its_world() {
        // The description of the world is ignored, so it may as well be nonsense.
        let described = format!(r#"{HANDLER} (@custom "component-type:mine" "nonsense")"#);
        for module in [module(HANDLER), module(&described)] {
            let wrapped = component(&module).expect("wrapped").into_owned();
            let engine = wasmtime::Engine::default();
            let made = wasmtime::component::Component::new(&engine, wrapped).expect("a component");
            for export in ["init", "handle"] {
                assert!(made.get_export_index(None, export).is_some(), "{export}");
            }
        }
    }

    #[test]
    fn a_component_is_taken_as_it_is() {
        let file = wat::parse_str("(component)").expect("valid");
        assert!(matches!(component(&file), Ok(Cow::Borrowed(taken)) if taken == file));
    }

    #[test]
    fn what_cannot_be_wrapped_is_told_apart() {
        let refused = |file: &[u8]| component(file).expect_err("refused");
        assert!(matches!(refused(b"junk"), LoadFault::NotWasm));
        let other = r#"(func (export "_start"))"#;
        assert!(matches!(refused(&module(other)), LoadFault::NoWorld));
        let preview_1 = r#"(import "wasi_snapshot_preview1" "fd_write" (func))"#;
        for fields in [preview_1.to_owned(), format!("{preview_1}{HANDLER}")] {
            assert!(matches!(refused(&module(&fields)), LoadFault::Preview1));
        }
    }

    #[test]
    fn what_a_handler_lacks_or_has_too_much_is_named() {
        let why = |fields: &str| match component(&module(fields)) {
            Err(LoadFault::Wrap { world, reason }) => format!("{world}: {reason:#}"),
            other => panic!("{other:?}"),
        };
        let without_init = why(&HANDLER.replace("init", "start"));
        assert!(without_init.contains("`init`"), "{without_init}");
        let crooked = why(&HANDLER.replace("(param i32) ", ""));
        assert!(crooked.contains("`handle`"), "{crooked}");
        let greedy = why(&format!(r#"(import "env" "steal" (func)) {HANDLER}"#));
        assert!(greedy.contains("`env`"), "{greedy}");
        let export = "\"wasi:messaging/incoming-handler@0.2.0-draft#handle";
        let foreign = HANDLER.replace("\"handle", export);
        let foreign = why(&foreign.replace("(param i32) ", ""));
        assert!(foreign.starts_with("wasi:messaging/"), "{foreign}");
    }

    /// As a faulty disk or an attacker would damage it.
    #[test]
    fn a_damaged_module_is_refused_or_wrapped_and_nothing_worse() {
        let whole = module(HANDLER);
        for end in 8..whole.len() {
            assert!(component(&whole[..end]).is_err(), "the first {end} bytes");
        }
        for place in 8..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[place] ^= 1 << bit;
                let result = component(&damaged).map(Cow::into_owned);
                assert!(result.is_err() || result.is_ok_and(|made| made.starts_with(b"\0asm\x0d")));
            }
        }
    }
}
