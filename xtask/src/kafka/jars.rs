//! Apache Kafka's jars with its command-line tools, fetched with Maven into the user's cache folder, and the Java
//! that runs them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{cache, maven, process::step};

const KAFKA: &str = super::VERSION;

/// Fetches Kafka and its dependencies. Kafka logs through slf4j 1.7 to whatever it finds; the binding needs the same
/// version as the log4j-core that Kafka depends on.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>eventos</groupId>
  <artifactId>test-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>4.3.1</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>4.3.1</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"#;

fn folder() -> Result<PathBuf> {
    Ok(cache::dir()?.join(format!("kafka-{KAFKA}")))
}

/// Returns whether the jars are in the cache.
pub(super) fn are_ready() -> bool {
    folder().is_ok_and(|folder| cache::is_ready(&folder, POM))
}

/// Returns the folder of the jars.
pub(super) fn provide() -> Result<PathBuf> {
    let folder = folder()?;
    cache::prepare(
        &folder,
        POM,
        |folder| main_jar(folder).exists(),
        |folder| {
            step(format_args!(
                "fetching Apache Kafka {KAFKA} with Maven into {}",
                folder.display()
            ));
            maven::fetch(folder, POM)
                .with_context(|| format!("Maven could not fetch Apache Kafka {KAFKA}"))?;
            let main = main_jar(folder);
            if !main.exists() {
                bail!("Maven did not fetch {}", main.display());
            }
            Ok(())
        },
    )?;
    Ok(folder.join("jars"))
}

fn main_jar(folder: &Path) -> PathBuf {
    folder.join(format!("jars/kafka_2.13-{KAFKA}.jar"))
}

/// Returns whether there is a Java that Kafka 4's brokers run on.
pub(super) fn java_is_recent() -> bool {
    let Ok(output) = Command::new("java")
        .arg("-version")
        .stdin(Stdio::null())
        .output()
    else {
        return false;
    };
    // Java prints its version to stderr.
    java_major(&String::from_utf8_lossy(&output.stderr)).is_some_and(|major| major >= 17)
}

/// Returns 17 for `openjdk version "17.0.15" 2025-04-15`.
fn java_major(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_version_is_read() {
        assert_eq!(
            java_major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"),
            Some(17)
        );
        assert_eq!(java_major("openjdk version \"21-ea\" 2023-09-19"), Some(21));
        assert_eq!(java_major("java version \"1.8.0_392\""), Some(1));
        assert_eq!(java_major("no java here"), None);
    }

    #[test]
    fn the_pom_fetches_the_version_that_we_look_for() {
        for artifact in ["kafka_2.13", "kafka-tools"] {
            assert!(POM.contains(&format!(
                "<artifactId>{artifact}</artifactId>\n      <version>{KAFKA}</version>"
            )));
        }
    }
}
