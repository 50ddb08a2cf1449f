//! Programs that are clients of the daemon or of its broker: kcat, Python with its libraries.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::{eventually, provided, root};

/// A running program. It is killed when dropped.
pub struct Program {
    shown: String,
    child: Child,
    out: Output,
    err: Output,
}

/// What it writes, line by line, and the thread that reads it.
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Program {
    /// Starts it with this for its input.
    pub fn start(command: &mut Command, input: &str) -> Self {
        let shown = format!("{command:?}");
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Cargo's, for the libraries of this build: among them another librdkafka than kcat's.
            .env_remove("LD_LIBRARY_PATH");
        let mut child = piped
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let out = Output::of(child.stdout.take().expect("piped"));
        let err = Output::of(child.stderr.take().expect("piped"));
        let mut stdin = child.stdin.take().expect("piped");
        // One that ends before it has read all of it shows that by its code.
        let _ = stdin.write_all(input.as_bytes());
        Self {
            shown,
            child,
            out,
            err,
        }
    }

    /// Runs it to its end, which has to be a good one; answers what it wrote to its output.
    pub fn run(command: &mut Command, input: &str) -> String {
        let mut program = Self::start(command, input);
        let code = program.wait();
        assert_eq!(code, Some(0), "{}\n{}", program.shown, program.err.text());
        program.out.text()
    }

    /// Waits for its end; answers the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let status = eventually(&format!("the end of {}", self.shown), || {
            self.child.try_wait().expect("waited")
        });
        for output in [&mut self.out, &mut self.err] {
            if let Some(reader) = output.reader.take() {
                reader.join().expect("no panic");
            }
        }
        status.code()
    }

    /// Waits for a line that holds `text`, on either output; answers the word after `text`.
    pub fn wait_for_word_after(&self, text: &str) -> String {
        eventually(&format!("{text:?} of {}", self.shown), || {
            let all = format!("{}\n{}", self.out.text(), self.err.text());
            let (_, after) = all.split_once(text)?;
            // Whole lines are read, so a word that is there is all there.
            Some(after.split_whitespace().next()?.to_owned())
        })
    }

    /// What it has written to its error output.
    pub fn errors(&self) -> String {
        self.err.text()
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Output {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                to.lock().expect("no panic").push(line);
            }
        });
        let reader = Some(reader);
        Self { lines, reader }
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let (out, err) = (self.out.text(), self.err.text());
            eprintln!("{} wrote:\n{out}\n{err}", self.shown);
        }
    }
}

/// Runs a command of `program`, ours, that talks to the daemon at `url`; answers its exit code, its output and its errors.
pub fn ask_from_a_shell(
    program: &str,
    command: &str,
    url: &str,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let mut program = Command::new(program);
    program.arg(command).args(arguments).args(["--url", url]);
    let output = program.output().expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Python with the libraries of the tests, about to run a script of `host/tests`.
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

/// Reads what a program wrote, a JSON value a line.
pub fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}
