//! The WASI 0.2 imports that common toolchains leave in a component, satisfied without granting access to anything.
//! Clocks and random numbers work, stdout and stderr become log lines, stdin is empty, and files, sockets, arguments
//! and environment do not exist.
//!
//! This replaces `wasmtime-wasi`, whose purpose is the files and sockets that handlers must not have. It would bring
//! types of tokio and cap-std into every call and some twenty crates to compile, for the fifteen functions that do
//! something here. All other functions of these packages are defined, so that components link, and trap when they are
//! called. A component that imports any other package is refused when it is loaded.

mod io;
mod plain;

use wasmtime::{
    Result, bail,
    component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem},
};

use super::{engine::Runtime, host::Host, messaging};

pub(super) use io::Stdio;

/// Packages whose interfaces toolchains leave in a component, whether or not it uses them.
const PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// Stands for resources that are never created: files, sockets, terminals.
struct NeverCreated;

/// Returns a linker with the WASI interfaces that this component imports, and the names of all imports that handlers
/// may not have.
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

/// Returns `cli/stdout` for `wasi:cli/stdout@0.2.6`, and `None` for other packages and versions.
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
            let ty = io::resource(name).unwrap_or_else(ResourceType::host::<NeverCreated>);
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
        // A type is only a name and has no definition.
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
