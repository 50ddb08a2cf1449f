//! The cache of compiled handlers: a cached handler is not compiled again, and a damaged or foreign file is never run.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use eventos_testkit::{Broker, Daemon, Setup, handler};
use sha2::{Digest as _, Sha256};

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

/// Puts the compiled handler `from` in the place of `to`, with a digest in front of it. That takes no key, and was enough
/// once.
fn forge(setup: &Setup, from: &str, to: &str) {
    let digest = |name: &str| {
        format!(
            "{:x}",
            Sha256::digest(fs::read(handler(name)).expect("built"))
        )
    };
    let (from, to) = (digest(from), digest(to));
    let files = files(setup);
    let found = files
        .iter()
        .find(|path| path.to_string_lossy().contains(&from));
    let entry = found.expect("a compiled handler");
    let bytes = fs::read(entry).expect("the file can be read");
    let code = &bytes[32..];
    let name = entry.file_name().expect("a name").to_string_lossy();
    let forged = setup.cache.join(name.replace(&from, &to));
    fs::write(forged, [&Sha256::digest(code)[..], code].concat()).expect("the file is written");
}

/// Runs `eventos` with a folder of state, and returns what it says.
fn run(setup: &Setup, state: &Path, args: &[&str]) -> String {
    let output = Command::new(EVENTOS)
        .env("XDG_STATE_HOME", state)
        .args(args)
        .arg("--config")
        .arg(setup.write_config())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_compiled_handler_that_somebody_else_put_there_never_runs() {
    let mut setup = setup();
    let state = setup.dir.path().join("state");
    setup.set_env("XDG_STATE_HOME", state.to_str().expect("a text"));
    assert_eq!(count_compiled(setup.start(), 1), 2);
    // In the place of the compiled store lies the probe, which would reject this Evento.
    forge(&setup, "probe", "store");
    let input = setup.dir.path().join("input.ndjson");
    fs::write(&input, evento("it", "reject")).expect("the file is written");
    let store = setup.dir.path().join("plugins/10-store.wasm");
    let [store, input] = [&store, &input].map(|path| path.to_str().expect("a text"));
    let tested = run(&setup, &state, &["test", store, "--input", input]);
    assert!(
        tested.contains(r#""outcome":"pass","stored":[{"id":"it""#),
        "{tested}"
    );
    // It was compiled again, and put in the place of the forged file.
    forge(&setup, "probe", "store");
    run(&setup, &state, &["check"]);
    forge(&setup, "probe", "store");
    let daemon = setup.start();
    daemon.wait_for_log("was not compiled by this user");
    assert_eq!(count_compiled(daemon, 2), 1);

    // A whole cache that another user has made, as in a repository that was cloned.
    let stranger = setup.dir.path().join("stranger");
    setup.set_env("XDG_STATE_HOME", stranger.to_str().expect("a text"));
    assert_eq!(count_compiled(setup.start(), 3), 2);
    assert_eq!(count_compiled(setup.start(), 4), 0);
}

#[test]
fn a_folder_or_key_that_other_users_can_change_is_not_used() {
    let mut setup = setup();
    let state = setup.dir.path().join("state");
    setup.set_env("XDG_STATE_HOME", state.to_str().expect("a text"));
    assert_eq!(count_compiled(setup.start(), 1), 2);
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is changed");
    };
    chmod(&setup.cache, 0o777);
    let daemon = setup.start();
    daemon.wait_for_log("cannot use the cache of compiled handlers");
    assert_eq!(count_compiled(daemon, 2), 2);
    chmod(&setup.cache, 0o700);
    let key = state.join("eventos/cache.key");
    assert_eq!(
        fs::metadata(&key).expect("the key").permissions().mode() & 0o777,
        0o600
    );
    chmod(&key, 0o644);
    let daemon = setup.start();
    daemon.wait_for_log("the cache of compiled handlers is not used");
    assert_eq!(count_compiled(daemon, 3), 2);
    chmod(&key, 0o600);
    assert_eq!(count_compiled(setup.start(), 4), 0);
}
