//! Java libraries, fetched with Maven.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    apt::Need,
    process::{run, succeeds},
};

/// The version is fixed, because another one may print something else.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Returns the package that contains Maven.
pub(crate) fn need() -> Need {
    Need {
        what: "Maven",
        package: "maven",
        is_there: succeeds(Command::new("mvn").arg("-v")),
    }
}

/// Fetches the dependencies of a project, and theirs, into the folder `jars` of `folder`.
pub(crate) fn fetch(folder: &Path, pom: &str) -> Result<()> {
    let path = folder.join("pom.xml");
    fs::write(&path, pom).with_context(|| format!("cannot write {}", path.display()))?;
    let mut maven = Command::new("mvn");
    maven.args([
        "--batch-mode",
        "--no-transfer-progress",
        "--quiet",
        COPY,
        "-DincludeScope=runtime",
    ]);
    maven
        .arg("-DoutputDirectory=jars")
        .current_dir(folder)
        .stdin(Stdio::null());
    run(&mut maven)
}
