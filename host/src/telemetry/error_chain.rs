//! An error in one line, for logs and answers: what anyhow's `{:#}` is to an error that one does not own.

/// The error and each of its causes, with colons between.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
