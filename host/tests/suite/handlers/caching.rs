//! The cache of compiled handlers: a cached handler is not compiled again, and a damaged file is never run.

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

/// Checks that the daemon works, stops it, and returns how many handlers it has compiled.
fn count_compiled(daemon: Daemon, stored: usize) -> usize {
    daemon.send(&evento("it", "good"));
    daemon.wait_for_messages(stored);
    let log = daemon.log();
    assert!(daemon.stop().success());
    log.lines()
        .filter(|line| line.contains("compiling a handler"))
        .count()
}

fn files(setup: &Setup) -> Vec<PathBuf> {
    let files = fs::read_dir(&setup.cache).expect("the folder can be listed");
    files
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect()
}

#[test]
fn a_second_start_compiles_nothing_and_a_damaged_cache_is_compiled_again() {
    let setup = setup();
    assert_eq!(count_compiled(setup.start(), 1), 2);
    assert_eq!(files(&setup).len(), 2);
    // The Evento from before the restart is stored, too.
    assert_eq!(count_compiled(setup.start(), 2), 0);

    let damaged = files(&setup).remove(0);
    let mut bytes = fs::read(&damaged).expect("the file can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&damaged, bytes).expect("the file is written");
    let daemon = setup.start();
    daemon.wait_for_log("a compiled handler is damaged");
    assert_eq!(count_compiled(daemon, 3), 1);
    assert_eq!(count_compiled(setup.start(), 4), 0);
}

#[test]
fn without_a_folder_nothing_is_kept() {
    let mut setup = setup();
    setup.cache = PathBuf::new();
    assert_eq!(count_compiled(setup.start(), 1), 2);
    assert_eq!(count_compiled(setup.start(), 2), 2);
}
