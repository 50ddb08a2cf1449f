//! The manifest of the Rust SDK, written out for a folder outside of this workspace.

use anyhow::{Context as _, Result, bail};

/// Replaces what the manifest inherits (`edition.workspace = true`) with the lines of the workspace, and leaves out
/// `[lints]`, which are those of this repository.
///
/// It reads lines rather than TOML: both manifests are ours, and a test builds what comes out.
pub(super) fn inlined(manifest: &str, workspace: &str) -> Result<String> {
    let mut inlined = String::new();
    let mut table = "";
    for line in manifest.lines() {
        if let Some(name) = table_name(line) {
            table = name;
        }
        if table == "lints" {
            continue;
        }
        match line.strip_suffix(".workspace = true") {
            Some(key) => inlined += inherited(workspace, table, key)?,
            None if line.contains("workspace = true") => {
                bail!("cannot write out the inherited dependency {line:?}")
            }
            None => inlined += line,
        }
        inlined.push('\n');
    }
    Ok(inlined.trim_end().to_owned() + "\n")
}

/// Returns the line of the workspace's manifest that sets `key` in `[workspace.TABLE]`.
fn inherited<'w>(workspace: &'w str, table: &str, key: &str) -> Result<&'w str> {
    let header = format!("[workspace.{table}]");
    let lines = workspace.lines().skip_while(|line| *line != header).skip(1);
    lines
        .take_while(|line| table_name(line).is_none())
        .find(|line| {
            line.split_once('=')
                .is_some_and(|(name, _)| name.trim() == key)
        })
        .with_context(|| format!("the workspace has no {key} in [workspace.{table}]"))
}

fn table_name(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inherited_is_written_out() {
        let workspace = "[workspace.package]\nedition = \"2024\"\n[workspace.dependencies]\nb = { version = \"2\" }\n";
        let manifest = "[package]\nname = \"x\"\nedition.workspace = true\n[dependencies]\na = \"1\"\nb.workspace = true\n[lints]\nworkspace = true\n";
        let inlined = inlined(manifest, workspace).expect("inlined");
        let expected = "[package]\nname = \"x\"\nedition = \"2024\"\n[dependencies]\na = \"1\"\nb = { version = \"2\" }\n";
        assert_eq!(inlined, expected);
    }

    #[test]
    fn what_is_not_there_to_inherit_is_an_error() {
        let workspace = "[workspace.package]\n[workspace.dependencies]\n";
        for (inherits, problem) in [
            ("a.workspace = true", "has no a in [workspace.dependencies]"),
            (
                "a = { workspace = true, features = [\"x\"] }",
                "cannot write out",
            ),
        ] {
            let manifest = format!("[package]\n[dependencies]\n{inherits}\n");
            let error = inlined(&manifest, workspace).expect_err("refused");
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
