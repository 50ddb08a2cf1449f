//! An error and its causes in one line, as `anyhow` formats them with `{:#}`.

/// Returns the message of an error and those of its causes, separated by colons.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
