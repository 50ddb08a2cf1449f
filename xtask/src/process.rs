//! Runs other programs. An error names the command that failed, and no failure is ignored.

use std::{
    fmt::Display,
    io,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Announces the next step, on stderr like cargo's own progress, so that the two keep their order.
pub(crate) fn step(what: impl Display) {
    eprintln!("==> {what}");
}

/// Prints a warning that does not stop the chore.
pub(crate) fn warn(what: impl Display) {
    eprintln!("warning: {what}");
}

/// Runs the command with this process's stdout and stderr; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs the command and returns its stdout; if it fails, its stderr is part of the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            line(command),
            output.status,
            said.trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("the output of `{}` is not UTF-8", line(command)))
}

/// Returns whether the program exists and ends with exit code 0; its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Runs `from | to`. Both have to succeed.
pub(crate) fn pipe(from: &mut Command, to: &mut Command) -> Result<()> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let source = from.stdout(writer).spawn();
    // A command keeps its end of the pipe open as long as it lives, and the reader would wait forever.
    let mut source = source.with_context(|| format!("cannot run `{}`", line(from)))?;
    from.stdout(Stdio::null());
    let sink = run(to.stdin(reader));
    to.stdin(Stdio::null());
    let status = source
        .wait()
        .with_context(|| format!("cannot wait for `{}`", line(from)))?;
    sink?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(from));
    }
    Ok(())
}

/// Returns the command as it would be typed, without quoting, for messages only.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = capture(&mut sh("echo no such topic >&2; exit 3"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c echo"), "{error}");
        assert!(error.contains("3: no such topic"), "{error}");
    }

    #[test]
    fn either_end_of_a_pipe_may_fail() {
        assert!(pipe(&mut sh("echo 1"), &mut sh("read x && test $x = 1")).is_ok());
        assert!(pipe(&mut sh("echo 1; exit 1"), &mut sh("cat >/dev/null")).is_err());
        assert!(pipe(&mut sh("echo 1"), &mut sh("exit 1")).is_err());
    }
}
