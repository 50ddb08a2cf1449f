//! The cache of compiled handlers: what is in it is not compiled again, and what is damaged is never run.

use std::{fs, path::PathBuf};

use eventos_testkit::{Broker, Daemon, Setup};

use super::evento;
use crate::EVENTOS;

fn setup() -> Setup {
    let mut setup = Setup::new(
        EVENTOS,
        Broker::Embedded,
        &["probe", "store"],
        "[telemetry]\nlog = \"info,eventos::plugin=debug\"\n",
    );
    setup.cache = setup.dir.path().join("cache/of/handlers");
    setup
}

/// How many it compiled at its start. It works.
fn compiled(daemon: Daemon, stored: usize) -> usize {
    daemon.send(&evento("it", "good"));
    daemon.wait_for_messages(stored);
    let log = daemon.log();
    assert!(daemon.stop().success());
    log.lines()
        .filter(|line| line.contains("compiling a handler"))
        .count()
}

fn files(setup: &Setup) -> Vec<PathBuf> {
    let files = fs::read_dir(&setup.cache).expect("listed");
    files.map(|entry| entry.expect("listed").path()).collect()
}

#[test]
fn a_second_start_compiles_nothing_and_a_damaged_cache_is_compiled_again() {
    let setup = setup();
    assert_eq!(compiled(setup.start(), 1), 2);
    assert_eq!(files(&setup).len(), 2);
    // What was stored before a restart is there after it.
    assert_eq!(compiled(setup.start(), 2), 0);

    let victim = files(&setup).remove(0);
    let mut bytes = fs::read(&victim).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&victim, bytes).expect("written");
    let daemon = setup.start();
    daemon.wait_for_log("a compiled handler is damaged", "path=");
    assert_eq!(compiled(daemon, 3), 1);
    assert_eq!(compiled(setup.start(), 4), 0);
}

#[test]
fn without_a_folder_nothing_is_kept() {
    let mut setup = setup();
    setup.cache = PathBuf::new();
    assert_eq!(compiled(setup.start(), 1), 2);
    assert_eq!(compiled(setup.start(), 2), 2);
}
