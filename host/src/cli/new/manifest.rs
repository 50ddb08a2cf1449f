//! The manifest of the Rust SDK without the workspace that it is a member of here.

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item};

/// Puts what is inherited (`edition.workspace = true`) in its place.
pub(super) fn inlined(manifest: &str, workspace: &str) -> Result<String> {
    let workspace: DocumentMut = workspace.parse()?;
    let workspace = &workspace["workspace"];
    let mut manifest: DocumentMut = manifest.parse()?;
    // Lints are those of this repository, and none of an author's.
    manifest.remove("lints");
    inline(&mut manifest["package"], &workspace["package"])?;
    inline(&mut manifest["dependencies"], &workspace["dependencies"])?;
    Ok(manifest.to_string())
}

/// Replaces each member of the table that says that it is inherited.
fn inline(table: &mut Item, from: &Item) -> Result<()> {
    let Some(table) = table.as_table_like_mut() else {
        return Ok(());
    };
    for (key, item) in table.iter_mut() {
        let is_inherited = item.get("workspace").and_then(Item::as_bool) == Some(true);
        if is_inherited {
            let inherited = from.get(key.get());
            *item = inherited
                .with_context(|| format!("the workspace has no {key}"))?
                .clone();
        }
    }
    Ok(())
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
        let manifest = "[package]\n[dependencies]\na.workspace = true\n";
        let error = inlined(manifest, workspace).expect_err("refused");
        assert!(error.to_string().contains("has no a"), "{error}");
    }
}
