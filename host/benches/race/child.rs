//! A contestant as a process: the lines that it prints, and its CPU time and memory at each of them.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

/// The unit of CPU time in `/proc/PID/stat`, which is the same on all machines that Linux still supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a process may take to end once its standard input has ended.
const END: Duration = Duration::from_secs(10);

/// What a process has used at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// CPU time since its start, of all its threads, in seconds.
    pub(crate) cpu: f64,
    /// Resident memory in bytes.
    pub(crate) resident: f64,
}

impl Sample {
    /// Samples a process. Processes that it started do not count.
    pub(crate) fn read(pid: u32) -> Result<Self> {
        let at = Instant::now();
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        let stat = read("stat").context("the process has ended")?;
        let status = read("status").context("the process has ended")?;
        let (cpu, resident) = parse(&stat, &status).context("/proc has no figures of it")?;
        Ok(Self { at, cpu, resident })
    }
}

fn parse(stat: &str, status: &str) -> Option<(f64, f64)> {
    // The second field is the name in brackets, which may have spaces. After it, user and system time are the fields 12 and 13.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    let cpu = (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = resident.split_whitespace().next()?.parse().ok()?;
    Some((cpu, kibibytes * 1024.0))
}

/// The process. It is ended when this is dropped.
pub(crate) struct Child {
    process: process::Child,
    lines: Receiver<(String, Result<Sample>)>,
    /// Receives its standard error.
    log: PathBuf,
}

impl Child {
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdout = process.stdout.take().context("it has no standard output")?;
        let (pid, (sender, lines)) = (process.id(), mpsc::channel());
        // Ends with the process, whose output it reads.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send((line, Sample::read(pid))).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            process,
            lines,
            log: log.to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the line that begins with this word. Returns the rest of the line, and what the process had used by then.
    pub(crate) fn expect(&mut self, word: &str, deadline: Instant) -> Result<(String, Sample)> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (line, sample) = match self.lines.recv_timeout(left) {
                Ok(found) => found,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("it did not print `{word}` in time{}", self.said())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.process.wait()?;
                    bail!("it ended with {status} before `{word}`{}", self.said());
                }
            };
            let (found, rest) = line.split_once(' ').unwrap_or((&line, ""));
            if found == word {
                return Ok((rest.to_owned(), sample?));
            }
        }
    }

    /// Waits for such a line with a number.
    pub(crate) fn expect_count(&mut self, word: &str, deadline: Instant) -> Result<(u64, Sample)> {
        let (count, sample) = self.expect(word, deadline)?;
        let count = count
            .parse()
            .map_err(|_| anyhow!("it printed `{word} {count}`, without a number"))?;
        Ok((count, sample))
    }

    /// Lets the process begin.
    pub(crate) fn go(&mut self) -> Result<()> {
        let stdin = self
            .process
            .stdin
            .as_mut()
            .context("it has no standard input")?;
        stdin.write_all(b"\n").context("it has ended")
    }

    /// Returns the last line of its standard error that says something.
    fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        match last {
            Some(last) => format!(": {} (see {})", last.trim(), self.log.display()),
            None => String::new(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
