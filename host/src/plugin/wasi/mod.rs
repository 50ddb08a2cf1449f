//! The imports that common toolchains leave in a component beside those of its world: WASI 0.2,
//! satisfied without giving anything away. Clocks and random work, stdout and stderr become lines of
//! the log, stdin is empty, and there are no files, sockets, arguments or environment.
//!
//! By hand rather than with `wasmtime-wasi`, whose work is the files and sockets that handlers must
//! not have: it would bring tokio's and cap-std's types into every call and some twenty crates to compile, for
//! the fifteen functions here that do something. What a component names beyond those is there, so that it links, and
//! traps when it is called. An interface of another package is refused at load.

mod io;
mod plain;

use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem};
use wasmtime::{Result, bail};

use super::{engine::Runtime, host::Host, messaging};

pub(super) use io::Stdio;

/// The packages of which toolchains leave interfaces in, whether or not they are used.
const PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// What is never made, and so needs no representation: files, sockets, terminals.
struct Nothing;

/// A linker with what this component imports of WASI, and every import that no handler may have.
pub(super) fn link(
    runtime: &Runtime,
    component: &Component,
) -> Result<(Linker<Host>, Vec<String>)> {
    let mut linker = runtime.linker.clone();
    let mut refused = Vec::new();
    for (name, import) in component.component_type().imports(&runtime.engine) {
        if name.starts_with("eventos:handler/") || messaging::IMPORTS.contains(&name) {
            continue;
        }
        match (interface(name), import.ty) {
            (Some(interface), ComponentItem::ComponentInstance(instance)) => {
                let mut to = linker.instance(name)?;
                for (item, found) in instance.exports(&runtime.engine) {
                    define(&mut to, interface, item, &found.ty)?;
                }
            }
            _ => refused.push(name.to_owned()),
        }
    }
    Ok((linker, refused))
}

/// `wasi:cli/stdout@0.2.6` is `cli/stdout`; none of another package, or of another version than 0.2.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix("wasi:")?.split_once('@')?;
    let (package, _) = interface.split_once('/')?;
    (PACKAGES.contains(&package) && version.starts_with("0.2.")).then_some(interface)
}

fn define(
    to: &mut LinkerInstance<'_, Host>,
    interface: &str,
    name: &str,
    item: &ComponentItem,
) -> Result<()> {
    match item {
        ComponentItem::Resource(_) => {
            let ty = io::resource(name).unwrap_or_else(ResourceType::host::<Nothing>);
            to.resource(name, ty, |_, _| Ok(()))
        }
        ComponentItem::ComponentFunc(_) => {
            if plain::define(to, interface, name)? || io::define(to, interface, name)? {
                return Ok(());
            }
            let called = format!("wasi:{interface}#{name}");
            to.func_new(name, move |_, _, _, _| {
                bail!(
                    "{called}: a handler has no files, no sockets and no terminal, and may not wait"
                )
            })
        }
        // A type has no definition: it only gives a name.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_toolchains_leave_in_is_let_through() {
        assert_eq!(interface("wasi:cli/stdout@0.2.6"), Some("cli/stdout"));
        assert_eq!(interface("wasi:sockets/tcp@0.2.0"), Some("sockets/tcp"));
        for refused in [
            "wasi:http/types@0.2.0",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout",
            "acme:cli/stdout@0.2.0",
            "stdout",
        ] {
            assert_eq!(interface(refused), None, "{refused}");
        }
    }
}
