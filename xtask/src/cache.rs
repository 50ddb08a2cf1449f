//! The user's cache folder: what is expensive to get is fetched once, and is either complete or absent.
//!
//! A folder is complete when it contains the file `ready`, which is written last. What an interrupted run left behind
//! is removed and created again; concurrent runs wait for each other.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::process::step;

/// Returns `$XDG_CACHE_HOME/eventos`, or `~/.cache/eventos`.
pub(crate) fn dir() -> Result<PathBuf> {
    let caches = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        // The XDG specification says to ignore relative paths.
        (Some(xdg), _) if Path::new(&xdg).is_absolute() => PathBuf::from(xdg),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => bail!("there is no folder for caches; set HOME or XDG_CACHE_HOME"),
    };
    Ok(caches.join("eventos"))
}

/// Returns whether `folder` is complete and was created from this `recipe`.
pub(crate) fn is_ready(folder: &Path, recipe: &str) -> bool {
    fs::read_to_string(marker(folder)).is_ok_and(|made_from| made_from == recipe)
}

/// Creates `folder` with `make`, unless it is complete, was created from the same `recipe` (a text that differs
/// whenever `make` would do something else), and still `works`, since what it relies on may have left the machine.
pub(crate) fn prepare(
    folder: &Path,
    recipe: &str,
    works: impl FnOnce(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let _lock = lock(folder)?;
    if is_ready(folder, recipe) && works(folder) {
        return Ok(());
    }
    if folder.exists() {
        step(format_args!(
            "removing {}, which is incomplete or outdated",
            folder.display()
        ));
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    make(folder)?;
    fs::write(marker(folder), recipe).with_context(|| format!("cannot finish {}", folder.display()))
}

fn marker(folder: &Path) -> PathBuf {
    folder.join("ready")
}

/// Locks a file next to the folder, since the folder itself may be removed. The lock ends when the returned file is
/// dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.with_added_extension("lock");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => step(format_args!(
            "waiting for another xtask to finish {}",
            folder.display()
        )),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(name: &str) -> impl FnOnce(&Path) -> Result<()> {
        move |folder| Ok(fs::write(folder.join(name), "")?)
    }

    #[test]
    fn a_whole_folder_is_made_once_and_a_half_one_again() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("jars-1.0");
        let half = |folder: &Path| {
            fs::write(folder.join("half"), "")?;
            bail!("interrupted")
        };
        assert!(prepare(&folder, "1", |_| true, half).is_err());
        assert!(!is_ready(&folder, "1"));

        prepare(&folder, "1", |_| true, make("whole")).unwrap();
        assert!(!folder.join("half").exists());
        prepare(&folder, "1", |_| true, |_| panic!("it is there")).unwrap();
        assert!(folder.join("whole").exists());
    }

    #[test]
    fn another_recipe_or_a_broken_folder_is_made_anew() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("python");
        let names = || {
            fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
        };
        prepare(&folder, "1", |_| true, make("old")).unwrap();
        prepare(&folder, "2", |_| true, make("new")).unwrap();
        assert!(names().all(|name| name != "old") && names().any(|name| name == "new"));
        prepare(&folder, "2", |_| false, make("repaired")).unwrap();
        assert!(names().all(|name| name != "new") && names().any(|name| name == "repaired"));
    }
}
