//! Printing errors for people.

use crate::config::Problems;

/// Writes `error: …` to stderr, then each cause on a line of its own. For an invalid configuration, writes every
/// problem.
pub fn report(error: &anyhow::Error) {
    eprint!("{}", text(error));
}

fn text(error: &anyhow::Error) -> String {
    if let Some(Problems(problems)) = error.downcast_ref() {
        let lines = problems.iter().map(|problem| format!("error: {problem}\n"));
        let hint = "hint: correct the configuration and try again; `eventos check` validates the handlers as well\n";
        return lines.chain([hint.to_owned()]).collect();
    }
    let causes = error.chain().skip(1);
    let causes = causes.map(|cause| format!("  caused by: {cause}\n"));
    std::iter::once(format!("error: {error}\n"))
        .chain(causes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Problem;

    #[test]
    fn causes_follow_the_error() {
        let error = anyhow::anyhow!("refused")
            .context("cannot connect")
            .context("cannot start");
        assert_eq!(
            text(&error),
            "error: cannot start\n  caused by: cannot connect\n  caused by: refused\n"
        );
    }

    #[test]
    fn each_problem_is_an_error() {
        let problems = ["a", "b"].map(|place| Problem::new(place, "", "wrong".to_owned()));
        let text = text(&Problems(problems.to_vec()).into());
        assert!(
            text.starts_with("error: a: wrong\nerror: b: wrong\nhint: "),
            "{text}"
        );
    }
}
