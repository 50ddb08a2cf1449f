//! An Apache Kafka whose KRaft nodes are broker and controller, on free loopback ports, for one run of the tests or
//! of a benchmark.
//!
//! It must not outlive the run, however that ends. So it runs under a small shell whose standard input is a pipe from
//! this process: when the value is dropped, or this process dies of any signal, the pipe closes and the shell kills
//! the broker.

mod certificates;
mod jars;
mod node;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{
    apt::Need,
    maven,
    process::{capture, run, step, succeeds},
};
use node::Node;
pub(crate) use node::{Doors, Jvm, Logins};

/// The version of the broker.
pub(crate) const VERSION: &str = "4.3.1";

/// Maximum time until a broker responds; three seconds are usual on two cores.
const START_DEADLINE: Duration = Duration::from_secs(90);
const PROGRESS: Duration = Duration::from_secs(5);

/// `$1` is the broker's folder, the rest its command line. The file `pid` in the folder is written before the broker
/// can respond. Ctrl-C reaches every process of a terminal, and all of these ignore it: the broker stays up while the
/// tests end, and the folder is removed after the broker.
const LIFELINE: &str = r#"
trap '' INT HUP
dir=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
broker=$!
echo "$broker" >"$dir/pid"
{ cat <&3 >/dev/null; kill -9 "$broker"; } &
watcher=$!
wait "$broker"
status=$?
kill "$watcher"
rm -rf "$dir"
exit "$status"
"#;

/// A broker that runs as long as this value lives.
pub(crate) struct Kafka {
    address: String,
    logins: Option<Logins>,
    /// The shell around the broker, whose standard input is the lifeline.
    shell: Child,
    /// Settings and data, removed after the broker has ended.
    dir: TempDir,
}

/// Returns what a broker needs from this machine: see [`crate::apt::provide`].
pub(crate) fn needs() -> Vec<Need> {
    let program = |name: &str, flag: &str| succeeds(Command::new(name).arg(flag));
    let mut needs = vec![
        Need {
            what: "kcat",
            package: "kcat",
            is_there: program("kcat", "-V"),
        },
        Need {
            what: "Java 17 or newer",
            package: "default-jre-headless",
            is_there: jars::java_is_recent(),
        },
    ];
    // Maven is only needed to fetch the jars.
    if !jars::are_ready() {
        needs.push(maven::need());
    }
    needs
}

/// Fetches Kafka's jars unless they are in the cache, and returns their folder.
pub(crate) fn provide() -> Result<PathBuf> {
    jars::provide()
}

/// An empty folder on which an Apache Kafka can be started, also several times. It is removed when this is dropped.
pub(crate) struct Formatted {
    address: String,
    logins: Option<Logins>,
    command: Vec<String>,
    /// Receives Kafka's output.
    log: PathBuf,
    dir: TempDir,
}

impl Formatted {
    /// Creates one for a Kafka of one node, on free ports. Kafka's output goes to the file `log`.
    pub(crate) fn new(jars: &Path, jvm: Jvm, doors: Doors, log: &Path) -> Result<Formatted> {
        let mut one = Self::cluster(1, jars, jvm, doors, log)?;
        one.pop().context("no node was formatted")
    }

    /// Creates one for each node of a cluster.
    pub(crate) fn cluster(
        nodes: usize,
        jars: &Path,
        jvm: Jvm,
        doors: Doors,
        log: &Path,
    ) -> Result<Vec<Formatted>> {
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        step("formatting Apache Kafka's data folder");
        let ports = node::free_ports(nodes)?;
        let format = |i| {
            let dir = tempfile::Builder::new()
                .prefix("eventos-kafka-")
                .tempdir()
                .context("cannot make a folder for Kafka")?;
            let node = Node::configure(jars, jvm, doors, (i, &ports), dir.path())?;
            let mut format = node.format();
            format.stdin(Stdio::null());
            format.stdout(append_to(log)?).stderr(append_to(log)?);
            run(&mut format).with_context(|| {
                format!("cannot format Kafka's data folder: see {}", log.display())
            })?;
            let serve = node.serve();
            let words = [serve.get_program()].into_iter().chain(serve.get_args());
            Ok(Formatted {
                command: words
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect(),
                address: node.address,
                logins: node.logins,
                log: log.to_owned(),
                dir,
            })
        };
        (0..nodes).map(format).collect()
    }

    /// Returns the command line of the broker.
    pub(crate) fn command(&self) -> &[String] {
        &self.command
    }

    /// Returns host and port, as clients want their bootstrap servers.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Kafka {
    /// Starts an empty broker and waits until it responds. Its output goes to the file `log`.
    pub(crate) fn start(jars: &Path, jvm: Jvm, doors: Doors, log: &Path) -> Result<Kafka> {
        let Formatted {
            address,
            logins,
            command,
            log,
            dir,
        } = Formatted::new(jars, jvm, doors, log)?;
        step(format_args!(
            "starting Apache Kafka on {address}; its log is {}",
            log.display()
        ));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", LIFELINE, "kafka"])
            .arg(dir.path())
            .args(command)
            .stdin(Stdio::piped())
            .stdout(append_to(&log)?)
            .stderr(append_to(&log)?);
        let shell = shell.spawn().context("cannot start Kafka")?;
        let mut kafka = Kafka {
            address,
            logins,
            shell,
            dir,
        };
        kafka
            .wait_until_it_answers()
            .with_context(|| format!("Apache Kafka did not start: see {}", log.display()))?;
        Ok(kafka)
    }

    /// Returns host and port, as clients want their bootstrap servers.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns where clients log in, if they can.
    pub(crate) fn logins(&self) -> Option<&Logins> {
        self.logins.as_ref()
    }

    /// Returns the process id of the broker itself.
    pub(crate) fn pid(&self) -> Result<u32> {
        let path = self.dir.path().join("pid");
        let pid =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        pid.trim().parse().with_context(|| {
            format!(
                "{} contains {pid:?}, which is not a process id",
                path.display()
            )
        })
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut progress = PROGRESS;
        loop {
            if let Some(status) = self.shell.try_wait().context("cannot watch Kafka")? {
                bail!("it ended with {status}");
            }
            // An open port is not enough: the broker must consider itself part of its cluster.
            let metadata =
                capture(Command::new("kcat").args(["-b", &self.address, "-L", "-m", "2"]));
            if metadata.is_ok_and(|text| text.contains(" 1 brokers:")) {
                step(format_args!(
                    "Apache Kafka responded after {:.1} s",
                    start.elapsed().as_secs_f32()
                ));
                return Ok(());
            }
            if start.elapsed() > START_DEADLINE {
                bail!(
                    "it did not respond on {} within {} s",
                    self.address,
                    START_DEADLINE.as_secs()
                );
            }
            if start.elapsed() > progress {
                step(format_args!(
                    "still waiting for Apache Kafka ({} s)",
                    progress.as_secs()
                ));
                progress += PROGRESS;
            }
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Closes the lifeline. The broker is killed rather than shut down, because there is nothing to save.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn append_to(log: &Path) -> Result<File> {
    let file = File::options().append(true).open(log);
    file.with_context(|| format!("cannot write {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the shell that runs `program` like a broker.
    fn lifeline(dir: &Path, program: &[&str]) -> Child {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", LIFELINE, "test"])
            .arg(dir)
            .args(program)
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        shell.spawn().unwrap()
    }

    #[test]
    fn a_broker_does_not_survive_its_lifeline() {
        let dir = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let mut shell = lifeline(dir.path(), &["sleep", "60"]);
        drop(shell.stdin.take());
        assert!(!shell.wait().unwrap().success());
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_folder_says_which_process_is_the_broker() {
        let dir = tempfile::tempdir().unwrap();
        let script = r#"until test -s "$0/pid"; do :; done; test "$(cat "$0/pid")" = $$"#;
        let path = dir.path().to_str().unwrap();
        let mut shell = lifeline(dir.path(), &["sh", "-c", script, path]);
        // Waiting would close the lifeline, and so kill what is still running.
        let _held = shell.stdin.take();
        assert!(shell.wait().unwrap().success());
    }

    #[test]
    fn a_broker_that_ends_by_itself_ends_the_shell() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = lifeline(dir.path(), &["sh", "-c", "exit 7"]);
        let _held = shell.stdin.take();
        assert_eq!(shell.wait().unwrap().code(), Some(7));
    }
}
