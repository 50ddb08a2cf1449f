//! A node of Apache Kafka that a test kills and starts again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Shell script that runs its arguments as a command, and kills that when its own standard input ends: when the test closes it, or
/// dies.
const LIFELINE: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
broker=$!
{ cat <&3 >/dev/null; kill -9 "$broker"; } &
wait "$broker"
"#;

/// A node of Apache Kafka, running or not. It is killed when this is dropped.
pub struct KafkaNode {
    /// Command line, one word per line, as `cargo xtask chaos` hands it over.
    command: String,
    /// File that its output is appended to.
    log: PathBuf,
    /// Shell that runs the node; `None` while it is down.
    shell: Option<Child>,
}

impl KafkaNode {
    /// Starts a node with this command line, which has one word per line. Its output is appended to the file `log`.
    #[must_use]
    pub fn start(command: &str, log: &Path) -> Self {
        let mut node = Self {
            command: command.to_owned(),
            log: log.to_owned(),
            shell: None,
        };
        node.revive();
        node
    }

    /// Starts the node again, if it is down.
    pub fn revive(&mut self) {
        if self.shell.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.expect("the log can be written");
        let shell = Command::new("sh")
            .args(["-c", LIFELINE, "sh"])
            .args(self.command.lines())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn();
        self.shell = Some(shell.expect("the shell starts"));
    }

    /// Kills the node with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            shell.wait().expect("the child can be waited for");
        }
    }
}

impl Drop for KafkaNode {
    fn drop(&mut self) {
        self.kill();
    }
}
