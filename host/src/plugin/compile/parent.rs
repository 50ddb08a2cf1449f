//! Starts the process that compiles a handler, waits for it, and says how it has ended.
//!
//! The daemon runs what it gets from there, which is native code. That is in a file without a name, which only the two processes
//! have, and it is sealed before it is loaded. The process is the same program, also if its file was replaced since: it
//! begins with a greeting that says which engine it has.

use std::{
    env,
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::PathBuf,
    process::{self, Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use super::code::{SealedFile, nameless_file};
use crate::plugin::{
    LoadFault,
    engine::{self, Runtime},
};

/// The first argument of the process.
pub(super) const ARGUMENT: &str = "compile-for-the-daemon";

/// The last line of its report if it has compiled the component.
pub(super) const DONE: &str = "done";

/// What its last line begins with if the component cannot be compiled.
pub(super) const REFUSED: &str = "refused: ";

/// How long it may take: many times what the largest handlers that are known need on a slow machine.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How often to see whether the load was cancelled.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long after a signal has ended the process the daemon may get one as well, as when all processes of a service are stopped.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// How long it may take to end after it has closed its report.
const END_GRACE: Duration = Duration::from_secs(5);

/// How much of its report is kept, in bytes.
const MAX_REPORT: u64 = 16 << 10;

/// The only variables of the environment that it gets: where its libraries are. Others may hold secrets.
const ENVIRONMENT: [&str; 1] = ["LD_LIBRARY_PATH"];

/// What the process may take.
pub(super) struct Limits {
    pub memory: ByteSize,
    pub time: Duration,
}

/// The reason why nothing was compiled.
pub(super) enum Failure {
    /// The program cannot run again here.
    NoProcess(String),
    Fault(LoadFault),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Fault(LoadFault::Compiler(error.to_string()))
    }
}

/// Returns the first line of the report, by which the process shows that it is this program with the same engine.
pub(super) fn greeting(engine: &wasmtime::Engine) -> String {
    format!(
        "eventos compiles with the engine {}\n",
        engine::identity(engine)
    )
}

/// Compiles a component in a process of its own.
pub(super) fn compile(
    runtime: &Runtime,
    component: &[u8],
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<SealedFile, Failure> {
    let mut input = nameless_file()?;
    input.write_all(component)?;
    input.rewind()?;
    let output = nameless_file()?;
    let process = Process::start(runtime, limits, input, output.try_clone()?)?;
    let ended = process.wait(limits.time, cancelled);
    ended.outcome(&greeting(&runtime.engine), limits, cancelled)?;
    Ok(SealedFile::seal(output))
}

/// A process that compiles.
struct Process {
    child: Child,
    /// Gets its report once that is complete.
    report: Receiver<String>,
}

/// How the process has ended.
struct Ended {
    why: Why,
    /// `None` if the system does not say, as if SIGCHLD was ignored when the daemon was started.
    status: Option<ExitStatus>,
    report: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    ByItself,
    TimedOut,
    Cancelled,
}

impl Process {
    fn start(
        runtime: &Runtime,
        limits: &Limits,
        input: File,
        output: File,
    ) -> Result<Self, Failure> {
        let program = program().map_err(|error| Failure::NoProcess(error.to_string()))?;
        let kept = ENVIRONMENT.into_iter();
        let kept = kept.filter_map(|name| Some((name, env::var_os(name)?)));
        let numbers = [
            u64::from(process::id()),
            limits.memory.as_u64(),
            runtime.stack as u64,
        ];
        let spawned = Command::new(&program)
            .arg0("eventos")
            .arg(ARGUMENT)
            .args(numbers.map(|number| number.to_string()))
            .env_clear()
            .envs(kept)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            // Ctrl-C is for the daemon, which ends this process when it stops.
            .process_group(0)
            .spawn();
        let mut child = spawned.map_err(|error| match error.kind() {
            // Compiling here would take even more.
            io::ErrorKind::OutOfMemory => Failure::from(error),
            _ => Failure::NoProcess(format!("{}: {error}", program.display())),
        })?;
        let stderr = child.stderr.take();
        let (to, report) = mpsc::sync_channel(1);
        let read = move || {
            let _ = to.send(stderr.map(read_report).unwrap_or_default());
        };
        let reader = thread::Builder::new().name("compile-report".to_owned());
        if let Err(error) = reader.spawn(read) {
            kill(&mut child);
            return Err(error.into());
        }
        Ok(Self { child, report })
    }

    /// Waits until it ends, or ends it when its time is over or the load is cancelled.
    fn wait(mut self, time: Duration, cancelled: &CancellationToken) -> Ended {
        let deadline = Instant::now() + time;
        let mut report = String::new();
        let why = loop {
            match self.report.recv_timeout(INTERVAL) {
                Ok(whole) => {
                    report = whole;
                    break Why::ByItself;
                }
                Err(RecvTimeoutError::Disconnected) => break Why::ByItself,
                Err(_) if cancelled.is_cancelled() => break Why::Cancelled,
                Err(_) if Instant::now() >= deadline => break Why::TimedOut,
                Err(_) => {}
            }
        };
        let status = match why {
            Why::ByItself => end(&mut self.child),
            Why::TimedOut | Why::Cancelled => kill(&mut self.child),
        };
        Ended {
            why,
            status,
            report,
        }
    }
}

impl Ended {
    /// Returns whether the process has written the code.
    fn outcome(
        self,
        greeting: &str,
        limits: &Limits,
        cancelled: &CancellationToken,
    ) -> Result<(), Failure> {
        let (is_ours, report) = match self.report.strip_prefix(greeting) {
            Some(rest) => (true, rest.trim()),
            None => (false, self.report.trim()),
        };
        let signal = self.status.and_then(|status| status.signal());
        let signal = signal.and_then(Signal::from_named_raw);
        let fault = match (self.why, signal) {
            (Why::Cancelled, _) => LoadFault::Cancelled,
            (Why::TimedOut, _) => LoadFault::CompileTime(limits.time),
            _ if is_ours && report == DONE && self.status.is_none_or(|it| it.success()) => {
                return Ok(());
            }
            _ if is_out_of_memory(report) => LoadFault::CompileMemory(limits.memory),
            (_, Some(Signal::KILL)) => LoadFault::CompilerKilled,
            (_, Some(Signal::TERM | Signal::INT | Signal::HUP)) if is_soon(cancelled) => {
                LoadFault::Cancelled
            }
            _ if !is_ours => return Err(Failure::NoProcess(self.describe(report))),
            _ => match report.strip_prefix(REFUSED) {
                Some(error) => LoadFault::Compile(wasmtime::format_err!("{error}")),
                None => LoadFault::Compiler(self.describe(report)),
            },
        };
        Err(Failure::Fault(fault))
    }

    /// Returns what is known about the end of a process, in one line.
    fn describe(&self, report: &str) -> String {
        let status = self.status.map(|status| status.to_string());
        let said = report
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let said: Vec<_> = status.into_iter().chain(said.map(str::to_owned)).collect();
        said.join("; ")
    }
}

/// Returns the path by which this program runs again. On Linux that is the program that runs now, also if its file was replaced.
fn program() -> io::Result<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => env::current_exe(),
    }
}

/// Reads a report to its end, and keeps the beginning.
fn read_report(mut stderr: ChildStderr) -> String {
    let mut report = Vec::new();
    // What was read before an error counts.
    let _ = (&mut stderr).take(MAX_REPORT).read_to_end(&mut report);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&report).into_owned()
}

/// Waits for a process that has closed its report, as it does when it ends.
fn end(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + END_GRACE;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(1)),
            ended => return ended.ok().flatten(),
        }
    }
    kill(child)
}

fn kill(child: &mut Child) -> Option<ExitStatus> {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().ok()
}

/// Returns whether the load is cancelled now, or in a moment.
fn is_soon(cancelled: &CancellationToken) -> bool {
    let deadline = Instant::now() + STOP_GRACE;
    while !cancelled.is_cancelled() && Instant::now() < deadline {
        thread::sleep(INTERVAL);
    }
    cancelled.is_cancelled()
}

/// Returns whether a report says that an allocation has failed: in the words of the standard library, of wasmtime, or of the system.
fn is_out_of_memory(report: &str) -> bool {
    let signs = [
        "memory allocation of",
        "out of memory",
        "Cannot allocate memory",
    ];
    signs.iter().any(|sign| report.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: &str = "hello\n";

    fn outcome(why: Why, status: Option<i32>, report: &str) -> Result<(), Failure> {
        let ended = Ended {
            why,
            status: status.map(ExitStatus::from_raw),
            report: report.to_owned(),
        };
        let limits = Limits {
            memory: ByteSize::mib(128),
            time: TIME_LIMIT,
        };
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        ended.outcome(GREETING, &limits, &cancelled)
    }

    /// Returns the fault of a process that has ended by itself.
    fn fault(status: Option<i32>, report: &str) -> LoadFault {
        match outcome(Why::ByItself, status, report) {
            Err(Failure::Fault(fault)) => fault,
            Err(Failure::NoProcess(why)) => panic!("{why}"),
            Ok(()) => panic!("no fault"),
        }
    }

    #[test]
    fn only_a_process_of_this_program_that_is_done_has_compiled() {
        let compiled = |status, report| outcome(Why::ByItself, status, report);
        for status in [Some(0), None] {
            assert!(compiled(status, "hello\ndone\n").is_ok());
            assert!(compiled(status, "hello\n").is_err());
            assert!(compiled(status, "done\n").is_err());
        }
        assert!(compiled(Some(1 << 8), "hello\ndone\n").is_err());
        for report in ["", "done\n", "hallo\ndone\n", "it is not found\n"] {
            let failure = compiled(Some(127 << 8), report);
            assert!(matches!(failure, Err(Failure::NoProcess(_))), "{report}");
        }
    }

    #[test]
    fn each_way_to_end_is_told_apart() {
        let refused = fault(Some(1 << 8), "hello\nrefused: too strange\n");
        assert!(matches!(refused, LoadFault::Compile(error) if error.to_string() == "too strange"));
        let memory = [
            (Some(6), "hello\nmemory allocation of 99 bytes failed\n"),
            (Some(6), "memory allocation of 99 bytes failed\n"),
            (
                Some(1 << 8),
                "hello\nrefused: out of memory (failed to allocate 9 bytes)\n",
            ),
        ];
        for (status, report) in memory {
            let fault = fault(status, report);
            assert!(matches!(fault, LoadFault::CompileMemory(_)), "{fault}");
        }
        for report in ["", "hello\n"] {
            assert!(matches!(fault(Some(9), report), LoadFault::CompilerKilled));
            assert!(matches!(fault(Some(15), report), LoadFault::Cancelled));
        }
        let crashed = fault(Some(11), "hello\nthread 'main' panicked:\n  it broke\n").to_string();
        assert!(crashed.contains("SIGSEGV"), "{crashed}");
        assert!(
            crashed.ends_with("; thread 'main' panicked:; it broke"),
            "{crashed}"
        );
        let late = outcome(Why::TimedOut, Some(9), "hello\n");
        assert!(matches!(
            late,
            Err(Failure::Fault(LoadFault::CompileTime(_)))
        ));
        let cancelled = outcome(Why::Cancelled, Some(9), "hello\n");
        assert!(matches!(
            cancelled,
            Err(Failure::Fault(LoadFault::Cancelled))
        ));
    }
}
