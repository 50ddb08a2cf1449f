//! Watches the drop-in folder, so that a new file becomes a handler within a moment.
//!
//! It looks at the folder several times a second instead of waiting for events of the system: these belong to a folder and
//! not to its path, so they miss a folder that is moved into its place and links that lead elsewhere, and network file systems
//! have none. A look takes some microseconds, for it reads no files.

use std::{
    convert::Infallible,
    path::Path,
    time::{Duration, Instant},
};

use super::{Registry, snapshot::FolderSnapshot};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long the folder must stay as it is before it is read, because files are copied piece by piece.
const QUIET: Duration = Duration::from_millis(100);

/// How long after a change the folder is read once more: two writes within one tick of the file system's clock may leave
/// the same times and the same length.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// How often saving the chain is tried again after it has failed.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait after a panic, which would come again at once.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// Looking at the folder may take at most one part in this many of the time, so a slow one is looked at less often.
const SHARE: u32 = 10;

/// What was seen of the folder.
#[derive(Default)]
struct Watched {
    /// The folder as it was when it was read.
    read: Option<FolderSnapshot>,
    /// A folder that is different, since when.
    changing: Option<(FolderSnapshot, Instant)>,
    /// When to read the folder again even if it does not change.
    again: Option<Instant>,
    saved: Option<Instant>,
}

impl Registry {
    /// Loads the handlers, and applies changes of the folder until the future is dropped. That ends what compiles for the folder,
    /// for good.
    pub async fn watch(&self) -> Infallible {
        let _stops = self.0.stopping.clone().drop_guard();
        let mut watched = Watched::default();
        loop {
            let registry = self.clone();
            // Looking at files may block, and compiling takes long.
            let looked = tokio::task::spawn_blocking(move || {
                let pause = registry.look(&mut watched);
                (watched, pause)
            });
            let pause;
            (watched, pause) = looked.await.unwrap_or_else(|error| {
                tracing::error!(%error, "reloading the drop-in folder panicked");
                (Watched::default(), AFTER_PANIC)
            });
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at the folder, and reads it if it has changed. Returns after what time to look again.
    fn look(&self, watched: &mut Watched) -> Duration {
        let began = Instant::now();
        let due = watched.look(&self.0.config.dir, began);
        let pause = match watched.changing {
            Some(_) => QUIET,
            None => INTERVAL,
        };
        let pause = pause.max(began.elapsed() * SHARE);
        if let Some(has_changed) = due {
            let again = self.reload(has_changed);
            let now = Instant::now();
            let second_look = has_changed.then(|| now + SECOND_LOOK);
            let again = again.map(|again| now + again);
            watched.again = [second_look, again].into_iter().flatten().min();
        }
        let is_due = |last: Instant| last.elapsed() >= SAVE_INTERVAL;
        if watched.saved.is_none_or(is_due) {
            self.save_again();
            watched.saved = Some(Instant::now());
        }
        pause
    }
}

impl Watched {
    /// Looks at the folder. Returns whether it has changed, if it has to be read now.
    fn look(&mut self, dir: &Path, now: Instant) -> Option<bool> {
        let seen = FolderSnapshot::take(dir);
        if self.read.is_none() {
            self.read = Some(seen);
            return Some(true);
        }
        match self.changing.take() {
            // It was written back to what it was, or never changed.
            _ if self.read.as_ref() == Some(&seen) => {}
            Some((before, since)) if before == seen => {
                if now.duration_since(since) >= QUIET {
                    self.read = Some(seen);
                    return Some(true);
                }
                self.changing = Some((before, since));
            }
            _ => self.changing = Some((seen, now)),
        }
        let is_due = self.again.is_some_and(|again| now >= again);
        (is_due && self.changing.is_none()).then(|| {
            self.again = None;
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_is_read_once_it_is_quiet_and_never_missed() {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("a.wasm");
        let start = Instant::now();
        let mut watched = Watched::default();
        let mut look = |milliseconds| {
            let now = start + Duration::from_millis(milliseconds);
            watched.look(root.path(), now)
        };
        assert_eq!(look(0), Some(true));
        assert_eq!(look(200), None);
        fs::write(&file, "half").expect("written");
        assert_eq!(look(400), None);
        fs::write(&file, "half and half").expect("written");
        assert_eq!([look(500), look(550), look(600)], [None, None, Some(true)]);
        assert_eq!(look(800), None);
        fs::remove_file(&file).expect("removed");
        assert_eq!([look(1_000), look(1_100)], [None, Some(true)]);
        watched.again = Some(start + Duration::from_secs(3));
        let mut look = |seconds| watched.look(root.path(), start + Duration::from_secs(seconds));
        assert_eq!([look(2), look(3), look(4)], [None, Some(false), None]);
    }
}
