//! What a guest wrote to stderr, searched for the line that says why it failed.
//!
//! The runtimes of the common toolchains write more than that: a panic of Rust has a first line with the place and a last one that suggests
//! an environment variable, and componentize-py adds a panic of its own to an exception of Python.

/// Begins the first line of a panic. The place follows after `panicked at `, and the text is on the next line.
const PANIC: &str = "thread '";
const PANIC_PLACE: &str = " panicked at ";

/// Begins the last line of a panic.
const HINT: &str = "note: run with `RUST_BACKTRACE";

/// The text of componentize-py's panic, which follows the exception.
const PANIC_AFTER_EXCEPTION: &str = "Python function threw an unexpected exception";

/// The stderr of one call.
#[derive(Default)]
pub(super) struct ErrorOutput {
    /// The last line that says what failed.
    failure: Option<String>,
    /// The place of the panic whose text is on the next line.
    panicked_at: Option<String>,
}

/// Returns whether a line says nothing to the author of a handler, so that it is not worth a line in the log.
pub(super) fn is_hint(line: &str) -> bool {
    line.starts_with(HINT)
}

impl ErrorOutput {
    /// Adds a complete line.
    pub(super) fn add(&mut self, line: &str) {
        if is_hint(line) {
            return;
        }
        if let Some((_, place)) = line.split_once(PANIC_PLACE)
            && line.starts_with(PANIC)
        {
            self.panicked_at = Some(place.trim_end_matches(':').to_owned());
            return;
        }
        let panicked_at = self.panicked_at.take();
        if panicked_at.is_some() && line == PANIC_AFTER_EXCEPTION && self.failure.is_some() {
            return;
        }
        self.failure = Some(match panicked_at {
            Some(place) => format!("panicked at {place}: {line}"),
            None => line.to_owned(),
        });
    }

    /// Returns the last line that says what failed.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(lines: &[&str]) -> Option<String> {
        let mut output = ErrorOutput::default();
        for line in lines {
            output.add(line);
        }
        output.failure().map(str::to_owned)
    }

    #[test]
    fn the_line_that_says_what_failed_is_found() {
        let hint = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace";
        let panic = "thread '<unnamed>' (1) panicked at src/lib.rs:7:5:";
        let python = [
            "Traceback (most recent call last):",
            "  File \"/0/eventos/component.py\", line 9, in handle",
            "TypeError: expected bytes, int found",
            panic,
            PANIC_AFTER_EXCEPTION,
            hint,
        ];
        assert_eq!(
            failure(&python).as_deref(),
            Some("TypeError: expected bytes, int found")
        );
        assert_eq!(
            failure(&["seen", panic, "index out of bounds", hint]).as_deref(),
            Some("panicked at src/lib.rs:7:5: index out of bounds")
        );
        assert_eq!(
            failure(&["out of memory"]).as_deref(),
            Some("out of memory")
        );
        assert_eq!(failure(&[hint]), None);
        assert_eq!(failure(&[]), None);
    }

    #[test]
    fn a_panic_without_an_exception_is_quoted_whatever_its_text() {
        let panic = "thread 'main' panicked at a.rs:1:2:";
        let expected = format!("panicked at a.rs:1:2: {PANIC_AFTER_EXCEPTION}");
        assert_eq!(failure(&[panic, PANIC_AFTER_EXCEPTION]), Some(expected));
    }
}
