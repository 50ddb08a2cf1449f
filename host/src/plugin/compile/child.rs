//! What runs in the process that compiles one handler: standard input is the component, standard output takes the code, and
//! standard error the report.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
};

use rustix::process::{Resource, Rlimit, getppid, getrlimit, setrlimit};

use super::parent::{DONE, REFUSED, greeting};
use crate::plugin::engine;

/// The reason why nothing was compiled.
enum Failure {
    /// The component cannot be compiled.
    Component(wasmtime::Error),
    /// Anything else.
    Other(wasmtime::Error),
}

impl<E: Into<wasmtime::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Compiles a handler for the daemon that has started this process with these arguments: its own process id, the memory
/// that this process may take in bytes, and the stack of a call in bytes.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let (code, report) = match compile(arguments) {
        Ok(()) => (ExitCode::SUCCESS, DONE.to_owned()),
        Err(Failure::Component(error)) => (ExitCode::FAILURE, format!("{REFUSED}{error:#}")),
        Err(Failure::Other(error)) => (ExitCode::FAILURE, format!("{error:#}")),
    };
    // If the daemon is gone, that has no use.
    let _ = writeln!(io::stderr(), "{report}");
    code
}

fn compile(arguments: &[OsString]) -> Result<(), Failure> {
    let mut numbers = arguments.iter().map(|argument| argument.to_str());
    let parent = number(numbers.next())?;
    limit_memory(number(numbers.next())?)?;
    let stack = number(numbers.next())?;
    end_with(parent)?;
    close_inherited_files()?;
    // If memory runs out in the system, this process ends rather than the daemon. Not every system has that file.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let engine = wasmtime::Engine::new(&engine::settings(stack))?;
    io::stderr().write_all(greeting(&engine).as_bytes())?;
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component)?;
    let code = engine.precompile_component(&component);
    let code = code.map_err(Failure::Component)?;
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    output.write_all(&code)?;
    Ok(())
}

fn number<T: FromStr>(argument: Option<Option<&str>>) -> Result<T, Failure> {
    let number = argument.flatten().and_then(|text| text.parse().ok());
    let expected = || wasmtime::format_err!("only the daemon starts this, to compile a handler");
    number.ok_or_else(expected).map_err(Failure::Other)
}

/// Bounds the memory that this process may take, without what it only reserves: threads reserve far more than they use. A
/// crash leaves no file with all of its memory.
fn limit_memory(bytes: u64) -> io::Result<()> {
    for (resource, most) in [(Resource::Data, bytes), (Resource::Core, 0)] {
        let maximum = getrlimit(resource).maximum;
        let most = maximum.map_or(most, |maximum| maximum.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// Makes this process end when the daemon with that process id does.
fn end_with(parent: i32) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let is_there = move || getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent);
    #[cfg(not(target_os = "linux"))]
    std::thread::spawn(move || {
        while is_there() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        std::process::exit(1);
    });
    match is_there() {
        true => Ok(()),
        false => Err(Failure::Other(wasmtime::format_err!(
            "the daemon has ended"
        ))),
    }
}

/// Closes all files but the three standard ones. The daemon hands over no others, but whatever started the daemon may have.
fn close_inherited_files() -> io::Result<()> {
    let folder = match fs::read_dir("/dev/fd") {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut open: Vec<(i32, PathBuf)> = folder
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path))
        })
        .collect();
    // The folder itself was open, and is closed by now.
    open.retain(|(file, path)| *file > 2 && fs::symlink_metadata(path).is_ok());
    for (file, _) in open {
        // SAFETY: it is open, and nothing in this process knows of it: this is its only thread, and has opened nothing yet.
        unsafe { rustix::io::close(file) };
    }
    Ok(())
}
