//! C: Debian's clang and its linker build a module without libc from the handler and the SDK.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Need},
    process::{run, succeeds},
    workspace,
};

/// The SDK's flags, which authors use as well: the stack traps when it overflows instead of running into the data,
/// and functions keep their names for backtraces.
const FLAGS: &str = "flags.txt";

/// The machine's own compiler, for tests without WebAssembly.
pub(crate) fn compiler() -> Need {
    Need {
        what: "a C compiler",
        package: "gcc",
        is_there: succeeds(Command::new("cc").arg("--version")),
    }
}

pub(super) fn build(folder: &Path) -> Result<Vec<u8>> {
    apt::provide(&[
        Need {
            what: "clang",
            package: "clang",
            is_there: succeeds(Command::new("clang").arg("--version")),
        },
        Need {
            what: "wasm-ld",
            package: "lld",
            is_there: succeeds(Command::new("wasm-ld").arg("--version")),
        },
    ])?;
    let root = workspace::root();
    let sdk = root.join("plugins/sdk-c");
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    let module = temp.path().join("handler.wasm");
    let mut clang = Command::new("clang");
    clang.arg(format!("@{}", sdk.join(FLAGS).display()));
    clang.arg("-I").arg(&sdk);
    for sources in [&sdk, folder] {
        let sources = super::entries(sources)?;
        clang.args(
            sources
                .iter()
                .filter(|path| path.extension().is_some_and(|it| it == "c")),
        );
    }
    run(clang.arg("-o").arg(&module))?;
    fs::read(&module).with_context(|| format!("cannot read {}", module.display()))
}
