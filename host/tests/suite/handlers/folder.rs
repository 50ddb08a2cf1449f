//! The drop-in folder as people treat it: it is emptied, replaced, moved and linked, and what lies in it is not always a handler.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use eventos_testkit::{Broker, Daemon, Setup, eventually, handler};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{evento, swapping::probe};
use crate::EVENTOS;

/// Number of the next Evento of [`Folder::assert_runs`].
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A daemon whose drop-in folder changes.
pub(super) struct Folder {
    pub(super) setup: Setup,
    pub(super) daemon: Daemon,
}

impl Folder {
    pub(super) fn new(handlers: &[&str]) -> Self {
        let setup = Setup::new(EVENTOS, Broker::Embedded, handlers, "");
        let daemon = setup.start();
        Self { setup, daemon }
    }

    /// Stops the daemon, has its folder changed, and starts it again until it listens.
    pub(super) fn restart(self, change: impl FnOnce(&Setup)) -> Self {
        let Self { setup, daemon } = self;
        assert!(daemon.stop().success());
        change(&setup);
        let daemon = setup.start_listening();
        Self { setup, daemon }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.setup.path("plugins")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file into the drop-in folder atomically.
    pub(super) fn drop_in(&self, name: &str, bytes: &[u8]) {
        let hidden = self.file(".new");
        fs::write(&hidden, bytes).expect("the file is written");
        fs::rename(hidden, self.file(name)).expect("the file is renamed");
    }

    pub(super) fn handlers(&self) -> Vec<Value> {
        let handlers = self.daemon.get("/handlers").json();
        handlers.as_array().expect("an array").clone()
    }

    pub(super) fn handler(&self, name: &str) -> Option<Value> {
        self.handlers()
            .into_iter()
            .find(|handler| handler["name"] == name)
    }

    pub(super) fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        eventually(what, || holds(self).then_some(()));
    }

    /// Waits until the error of a file contains this text.
    pub(super) fn wait_for_error(&self, file: &str, error: &str) {
        self.wait_for(&format!("{error:?} of {file}"), |folder| {
            let handlers = folder.handlers();
            let status = handlers.iter().find(|one| one["file"] == file);
            let shown = status.and_then(|status| status["error"].as_str());
            shown.is_some_and(|shown| shown.contains(error))
        });
    }

    /// Waits until the daemon is not ready because of its handlers, and says so with this text.
    pub(super) fn wait_for_hold(&self, reason: &str) {
        self.wait_for(&format!("{reason:?}"), |folder| {
            let answer = folder.daemon.get("/readyz");
            answer.status == 503 && answer.problem(503, "not-ready").contains(reason)
        });
    }

    /// Waits until the probe runs in this version, and has it handle an Evento.
    pub(super) fn assert_runs(&self, version: u8) {
        let digest = format!("{:x}", Sha256::digest(probe(version)));
        self.wait_for(&format!("version {version}"), |folder| {
            folder
                .handler("probe")
                .is_some_and(|it| it["digest"] == digest)
        });
        self.daemon.wait_until_ready();
        // An Evento from before a restart may have been handled again by another version.
        let unique = NUMBER.fetch_add(1, Ordering::Relaxed);
        let marked = self.marked_by(&format!("it-{unique}"));
        assert_eq!(marked, format!("probe-version-{version}"));
    }

    /// Sends an Evento and waits until it is stored. Returns the mark of the probe that handled it, or "unmarked".
    pub(super) fn marked_by(&self, id: &str) -> String {
        self.daemon.send(&evento(id, "version"));
        self.mark(id)
    }

    /// Waits until an Evento is stored. Returns the mark of the probe that handled it, or "unmarked".
    pub(super) fn mark(&self, id: &str) -> String {
        let stored = eventually("the Evento to be stored", || {
            let stored = self.daemon.get(&format!("/messages/{id}")).json();
            (stored["id"] == id).then_some(stored)
        });
        stored["by"].as_str().unwrap_or("unmarked").to_owned()
    }

    /// Waits until the daemon has fetched records that it does not handle.
    pub(super) fn wait_for_lag(&self, records: f64) {
        self.wait_for("records that wait", |folder| {
            folder.daemon.metric_sum("eventos_consumer_lag") >= records
        });
    }
}

/// Writes the handlers `probe`, in this version, and `store` into a folder.
fn fill(dir: &Path, version: u8) {
    fs::create_dir_all(dir).expect("the folder is made");
    fs::write(dir.join("00-probe.wasm"), probe(version)).expect("the file is written");
    fs::copy(handler("store"), dir.join("10-store.wasm")).expect("the file is copied");
}

/// Makes a symbolic link, or replaces one, as `ln -sfn` does.
fn link(target: &Path, path: &Path) {
    let new = path.with_extension("new");
    symlink(target, &new).expect("the link is made");
    fs::rename(new, path).expect("the link is renamed");
}

#[test]
fn a_folder_that_is_replaced_or_linked_elsewhere_is_followed() {
    let folder = Folder::new(&["probe", "store"]);
    let (dir, root) = (folder.dir(), folder.setup.dir.path());
    // What belongs to a folder, and not to its path, is seen once and then never again.
    for version in [1, 2] {
        fs::remove_dir_all(&dir).expect("the folder is removed");
        fill(&dir, version);
        folder.assert_runs(version);
    }
    fs::rename(&dir, root.join("old")).expect("the folder is moved");
    fill(&root.join("other"), 3);
    fs::rename(root.join("other"), &dir).expect("the folder is moved");
    folder.assert_runs(3);

    // The folder, one of its parents, and a file in it are links.
    fs::rename(&dir, root.join("old-2")).expect("the folder is moved");
    for (release, version) in [("1", 4), ("2", 5)] {
        fill(
            &root.join("releases").join(release).join("plugins"),
            version,
        );
    }
    let current = root.join("current");
    link(&root.join("releases/1"), &current);
    link(&current.join("plugins"), &dir);
    folder.assert_runs(4);
    link(&root.join("releases/2"), &current);
    folder.assert_runs(5);
    let target = root.join("target.wasm");
    fs::write(&target, probe(6)).expect("the file is written");
    link(&target, &dir.join("00-probe.wasm"));
    folder.assert_runs(6);
    fs::write(&target, probe(7)).expect("the file is written");
    folder.assert_runs(7);
    // A link that leads nowhere displaces nothing.
    fs::remove_file(&target).expect("the file is removed");
    folder.wait_for_error("00-probe.wasm", "the file cannot be read");
    assert_eq!(folder.handler("probe").expect("it")["state"], "running");
    fs::write(&target, probe(8)).expect("the file is written");
    folder.assert_runs(8);
}

#[test]
fn an_empty_folder_holds_everything_up_until_its_handlers_are_back() {
    let folder = Folder::new(&["probe", "store"]);
    let dir = folder.dir();
    for empty in [
        &(|| {
            fs::remove_dir_all(&dir).expect("the folder is removed");
            // Without its folder the chain goes on as it is.
            folder.wait_for_error("10-store.wasm", "cannot read the handlers' folder");
            assert!(folder.marked_by("none").starts_with("probe-version-"));
            folder.daemon.get("/readyz").assert_status(200);
            fs::create_dir(&dir).expect("the folder is made");
        }) as &dyn Fn(),
        &|| {
            for file in ["00-probe.wasm", "10-store.wasm"] {
                fs::remove_file(dir.join(file)).expect("the file is removed");
            }
        },
    ] {
        empty();
        folder.wait_for_hold("has no handler any more; put the files back");
        folder
            .daemon
            .wait_for_log("the chain lacks a handler, so nothing is handled");
        for name in ["probe", "store"] {
            let status = folder.handler(name).expect("it is listed");
            assert_eq!(status["state"], "missing");
            assert!(
                status["error"]
                    .as_str()
                    .expect("a text")
                    .contains("put it back")
            );
        }
        let consumed = folder.daemon.metric_sum("eventos_consumed_total");
        folder.daemon.send(&evento("waits", "version"));
        folder.wait_for_lag(1.0);
        // Neither a file that cannot be loaded nor one of two handlers completes the chain.
        fs::write(dir.join("20-junk.wasm"), "junk").expect("the file is written");
        folder.wait_for_error("20-junk.wasm", "not WebAssembly");
        fs::copy(handler("store"), dir.join("10-store.wasm")).expect("the file is copied");
        folder.wait_for_hold("the file of the handler probe is gone");
        assert_eq!(folder.daemon.metric_sum("eventos_consumed_total"), consumed);
        fs::remove_file(dir.join("20-junk.wasm")).expect("the file is removed");
        fs::write(dir.join("00-probe.wasm"), probe(1)).expect("the file is written");
        folder.daemon.wait_until_ready();
        assert_eq!(folder.mark("waits"), "probe-version-1");
    }

    // A file that stays away is a handler that was removed, and so is one that is deleted over HTTP.
    fs::remove_file(dir.join("00-probe.wasm")).expect("the file is removed");
    folder.wait_for("one handler", |folder| folder.handlers().len() == 1);
    assert_eq!(folder.marked_by("a"), "unmarked");
    fs::remove_file(dir.join("10-store.wasm")).expect("the file is removed");
    folder.wait_for_hold("delete the handlers: store");
    folder.daemon.delete("/handlers/store").assert_status(204);
    folder.daemon.wait_until_ready();
    assert!(folder.handlers().is_empty());
    // The chain is known to be empty, so a restart does not wait either.
    let folder = folder.restart(|_| {});
    folder.daemon.wait_until_ready();
}

#[test]
fn the_trouble_of_each_file_is_shown_and_the_others_are_updated() {
    let folder = Folder::new(&["probe", "store"]);
    fs::copy(handler("store"), folder.file("20-store.wasm")).expect("the file is copied");
    fs::create_dir(folder.file("30-folder.wasm")).expect("the folder is made");
    symlink("nowhere", folder.file("40-link.wasm")).expect("the link is made");
    let made = Command::new("mkfifo")
        .arg(folder.file("50-pipe.wasm"))
        .status();
    assert!(made.expect("it runs").success());
    fs::create_dir(folder.file("60-signed.wasm.sig")).expect("the folder is made");
    folder.drop_in("60-signed.wasm", &probe(1));
    let both = "10-store.wasm and";
    for (file, error) in [
        ("10-store.wasm", both),
        ("20-store.wasm", both),
        ("30-folder.wasm", "it is not a regular file"),
        ("40-link.wasm", "No such file"),
        ("50-pipe.wasm", "it is not a regular file"),
        ("60-signed.wasm", "Is a directory"),
    ] {
        folder.wait_for_error(file, error);
    }
    assert_eq!(folder.handler("store").expect("it")["state"], "running");
    let of_one = folder.daemon.get("/handlers/store").json();
    assert_eq!(of_one["file"], "10-store.wasm");
    folder.drop_in("00-probe.wasm", &probe(1));
    folder.assert_runs(1);
    // The file that runs is still the one that counts, until it is gone and one is left.
    folder.drop_in("10-store.wasm", &probe(2));
    let digest = format!("{:x}", Sha256::digest(probe(2)));
    folder.wait_for("another version", |folder| {
        folder.daemon.get("/handlers/store").json()["digest"] == digest
    });
    fs::remove_file(folder.file("10-store.wasm")).expect("the file is removed");
    folder.wait_for("the file that is left", |folder| {
        let status = folder.handler("store").expect("it");
        status["file"] == "20-store.wasm" && status["error"].is_null()
    });
    assert_eq!(folder.marked_by("a"), "probe-version-1");
    for file in ["30-folder.wasm", "60-signed.wasm.sig"] {
        fs::remove_dir(folder.file(file)).expect("the folder is removed");
    }
    for file in ["40-link.wasm", "50-pipe.wasm"] {
        fs::remove_file(folder.file(file)).expect("the file is removed");
    }
    folder.wait_for("no trouble", |folder| {
        let handlers = folder.handlers();
        handlers.len() == 3 && handlers.iter().all(|one| one["error"].is_null())
    });
}
