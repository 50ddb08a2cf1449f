//! Programs that are clients of the daemon or of its broker: kcat, Python scripts, our own commands.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::{eventually, provided, root};

/// A running program. It is killed when this is dropped.
pub struct Program {
    /// Command line, for messages.
    command: String,
    child: Child,
    stdout: OutputReader,
    stderr: OutputReader,
}

/// The lines of an output stream, and the thread that reads them.
pub(crate) struct OutputReader {
    lines: Arc<Mutex<Vec<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Program {
    /// Starts a program and writes `input` to its standard input.
    pub fn start(command: &mut Command, input: &str) -> Self {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Cargo sets it for the libraries of this build, and one of them is another librdkafka than kcat's.
            .env_remove("LD_LIBRARY_PATH")
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = OutputReader::new(child.stdout.take().expect("piped"));
        let stderr = OutputReader::new(child.stderr.take().expect("piped"));
        let mut stdin = child.stdin.take().expect("piped");
        // A program that exits before it has read everything fails the test by its exit code.
        let _ = stdin.write_all(input.as_bytes());
        Self {
            command: shown,
            child,
            stdout,
            stderr,
        }
    }

    /// Runs a program until it exits, which it must do with code 0. Returns its standard output.
    pub fn run(command: &mut Command, input: &str) -> String {
        let mut program = Self::start(command, input);
        let code = program.wait_for_exit();
        assert_eq!(code, Some(0), "{}\n{}", program.command, program.stderr());
        program.stdout.text()
    }

    /// Waits until the program exits, and returns its exit code.
    pub fn wait_for_exit(&mut self) -> Option<i32> {
        let status = eventually(&format!("the exit of {}", self.command), || {
            self.child.try_wait().expect("the child can be waited for")
        });
        self.stdout.join();
        self.stderr.join();
        status.code()
    }

    /// Waits until standard output or standard error contains `text`, and returns the word that follows it.
    pub fn wait_for_word_after(&self, text: &str) -> String {
        eventually(
            &format!("{text:?} in the output of {}", self.command),
            || {
                let all = format!("{}\n{}", self.stdout.text(), self.stderr.text());
                let (_, after) = all.split_once(text)?;
                // The readers take whole lines, so a word is never cut off.
                Some(after.split_whitespace().next()?.to_owned())
            },
        )
    }

    /// Returns what the program has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns the id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        send_signal(self.child.id(), "TERM");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
            eprintln!("output of {}:\n{stdout}\n{stderr}", self.command);
        }
    }
}

impl OutputReader {
    /// Starts a thread that reads the stream until it ends.
    pub(crate) fn new(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let thread = thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                to.lock().expect("no panic").push(line);
            }
        });
        let thread = Some(thread);
        Self { lines, thread }
    }

    /// Waits until the stream has ended.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }

    /// Returns the lines that were read so far.
    pub(crate) fn text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }
}

/// Sends a signal, such as `TERM`, to a process.
pub(crate) fn send_signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Runs a subcommand of `eventos`, whose path is `program`, against the daemon at `url`. Returns the exit code, standard output
/// and standard error.
#[must_use]
pub fn run_subcommand(
    program: &str,
    subcommand: &str,
    url: &str,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let mut command = Command::new(program);
    command.arg(subcommand).args(arguments).args(["--url", url]);
    let output = command.output().expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Returns a command that runs a script of `host/tests` with the Python environment of the tests.
#[must_use]
pub fn python(script: &str) -> Command {
    let mut python = Command::new(provided("EVENTOS_TEST_PYTHON"));
    python.arg(root().join("host/tests").join(script));
    python.envs([
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("PYTHONUTF8", "1"),
    ]);
    python
}

/// Parses the output of a program that writes one JSON value per line.
#[must_use]
pub fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}
