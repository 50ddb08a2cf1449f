//! The peers of the benchmark `race`, installed into the user's cache folder. Their programs are in host/benches/race/peers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Need},
    cache, maven,
    process::{run, step, succeeds, warn},
    venv,
};

const POM: &str = include_str!("../../host/benches/race/peers/kafka-streams/pom.xml");
const SOURCE: &str = include_str!("../../host/benches/race/peers/kafka-streams/Race.java");
const QUIX: &str = include_str!("../../host/benches/race/peers/quix/requirements.txt");
const PROTOTYPE: &str = include_str!("../../host/benches/race/peers/prototype/requirements.txt");

/// Installs the peers. Returns the variables by which the benchmark finds them. A peer that cannot be installed gets a variable
/// with the error, which the benchmark shows.
pub(crate) fn provide() -> Vec<(String, String)> {
    let peers: [(&str, Result<String>); 3] = [
        ("EVENTOS_RACE_KAFKA_STREAMS", kafka_streams()),
        ("EVENTOS_RACE_QUIX", python("quix", QUIX, "quixstreams")),
        (
            "EVENTOS_RACE_PROTOTYPE",
            python("prototype", PROTOTYPE, "aiokafka, pydantic"),
        ),
    ];
    let peers = peers.into_iter();
    let variables = peers.map(|(variable, installed)| match installed {
        Ok(at) => (variable.to_owned(), at),
        Err(error) => {
            warn(format_args!("{variable}: {error:#}"));
            (format!("{variable}_ERROR"), format!("{error:#}"))
        }
    });
    variables.collect()
}

/// Fetches Kafka Streams and compiles the program. Returns the class path.
fn kafka_streams() -> Result<String> {
    let folder = cache::dir()?.join("race-kafka-streams");
    let recipe = format!("{POM}\n{SOURCE}");
    let is_compiled = |folder: &Path| folder.join("classes/Race.class").exists();
    cache::prepare(&folder, &recipe, is_compiled, |folder| {
        apt::provide(&[maven::need(), compiler()])?;
        step(format_args!(
            "fetching Kafka Streams with Maven into {}",
            folder.display()
        ));
        maven::fetch(folder, POM).context("Maven could not fetch Kafka Streams")?;
        let source = folder.join("Race.java");
        fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
        let mut javac = Command::new("javac");
        javac.args([
            "--release",
            "17",
            "-cp",
            "jars/*",
            "-d",
            "classes",
            "Race.java",
        ]);
        run(javac.current_dir(folder).stdin(Stdio::null()))
    })?;
    Ok(format!("{0}/classes:{0}/jars/*", folder.display()))
}

fn compiler() -> Need {
    Need {
        what: "a Java compiler",
        package: "default-jdk-headless",
        is_there: succeeds(Command::new("javac").arg("-version")),
    }
}

/// Returns an interpreter that can import `modules`.
fn python(peer: &str, requirements: &str, modules: &str) -> Result<String> {
    apt::provide(&[venv::need()])?;
    let interpreter = |folder: &Path| -> PathBuf { folder.join("bin/python") };
    let imports = |folder: &Path| {
        let import = format!("import {modules}");
        succeeds(Command::new(interpreter(folder)).args(["-c", &import]))
    };
    let folder = venv::provide(&format!("race-{peer}"), requirements, imports)?;
    Ok(interpreter(&folder).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka;

    #[test]
    fn kafka_streams_has_the_version_of_the_broker() {
        let streams = "<artifactId>kafka-streams</artifactId>\n      <version>";
        let (_, version) = POM.split_once(streams).unwrap();
        assert!(version.starts_with(kafka::VERSION), "{version}");
    }

    #[test]
    fn every_package_of_python_has_a_fixed_version() {
        for line in QUIX.lines().chain(PROTOTYPE.lines()) {
            assert!(line.starts_with('#') || line.contains("=="), "{line}");
        }
    }
}
