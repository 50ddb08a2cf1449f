//! `cargo xtask notices`: writes THIRD-PARTY-NOTICES.md, the licences of everything that is linked into `eventos`.
//!
//! cargo-about knows the crates. The C libraries that some of them bring along have licences of their own, which it does
//! not see.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result, bail};

use crate::{
    process::{capture, run, step},
    tools, workspace,
};

const FILE: &str = "THIRD-PARTY-NOTICES.md";

/// C libraries: their names, the crates that contain them, and the file with the licence.
const LIBRARIES: [(&str, &str, &str); 4] = [
    ("librdkafka", "rdkafka-sys", "librdkafka/LICENSES.txt"),
    ("OpenSSL", "openssl-src", "openssl/LICENSE.txt"),
    ("zlib", "libz-sys", "src/zlib/LICENSE"),
    ("zstd", "zstd-sys", "zstd/LICENSE"),
];

/// Writes the notices into the root of the workspace.
pub(crate) fn write() -> Result<()> {
    let path = workspace::root().join(FILE);
    fs::write(&path, notices()?).with_context(|| format!("cannot write {}", path.display()))?;
    step(format_args!("wrote {}", path.display()));
    Ok(())
}

/// Checks that the notices in the root of the workspace are those of the current dependencies.
pub(crate) fn check() -> Result<()> {
    let path = workspace::root().join(FILE);
    let there =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if there != notices()? {
        bail!("{FILE} is not up to date; run `cargo xtask notices`");
    }
    Ok(())
}

fn notices() -> Result<String> {
    let mut about = tools::ABOUT.provide()?;
    step("collecting the licences of all dependencies");
    run(workspace::cargo().args(["fetch", "--locked"]))?;
    // The texts come from the crates themselves, so that the result depends on nothing else.
    about.args(["generate", "--locked", "--offline", "--fail"]);
    about.args(["--manifest-path", "host/Cargo.toml"]);
    about.args(["--config", "xtask/notices/about.toml"]);
    let mut text = capture(about.arg("xtask/notices/notices.hbs"))?;
    text.push_str(&libraries()?);
    Ok(text)
}

/// Returns the section of the C libraries.
fn libraries() -> Result<String> {
    let metadata = workspace::metadata_with_dependencies()?;
    let packages: HashMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&*package.name, package))
        .collect();
    let mut text = "\n# C libraries\n".to_owned();
    for (library, name, licence) in LIBRARIES {
        let package = packages
            .get(name)
            .with_context(|| format!("no dependency is called {name}"))?;
        let path = package.manifest_path.with_file_name(licence);
        let licence =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let version = &package.version;
        text.push_str(&format!(
            "\n## {library}\n\nPart of {name} {version}.\n\n```text\n{}\n```\n",
            licence.trim_end()
        ));
    }
    Ok(text)
}
