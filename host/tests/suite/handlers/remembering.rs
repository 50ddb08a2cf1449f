//! What a daemon knows of the last run of its chain: the good versions, the ones before them, and what is paused.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use eventos_testkit::{Broker, DiskFault, FaultyDisk, Setup, eventually, handler};

use super::{evento, folder::Folder, send_to, swapping::probe};
use crate::EVENTOS;

/// Copies a folder with everything in it, in place of another one.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("it runs").success());
}

#[test]
fn a_bad_file_is_replaced_by_the_version_that_ran_and_a_rollback_survives_a_restart() {
    let folder = Folder::new(&["probe", "store"]);
    folder
        .daemon
        .put("/handlers/probe", probe(1))
        .assert_status(200);
    folder.assert_runs(1);
    fs::write(folder.file("00-probe.wasm"), "junk").expect("the file is written");
    folder.wait_for_error("00-probe.wasm", "not WebAssembly");
    // The file has overwritten the good one, and one that was never part of the chain has come.
    let folder = folder.restart(|setup| {
        fs::write(setup.path("plugins/05-worse.wasm"), "junk").expect("the file is written");
    });
    folder.assert_runs(1);
    folder.wait_for_error("00-probe.wasm", "not WebAssembly");
    let worse = folder.handler("worse").expect("it is listed");
    assert_eq!(worse["state"], "refused");
    let rolled_back = folder.daemon.post("/handlers/probe/rollback");
    rolled_back.assert_status(200);
    folder.assert_runs(0);
    assert_eq!(
        fs::read(folder.file("00-probe.wasm")).expect("the file"),
        probe(0)
    );
    assert!(folder.handler("probe").expect("it")["error"].is_null());
    // The version that was rolled back is the one before it now.
    let folder = folder.restart(|setup| {
        fs::remove_file(setup.path("plugins/05-worse.wasm")).expect("the file is removed");
    });
    folder
        .daemon
        .post("/handlers/probe/rollback")
        .assert_status(200);
    folder.assert_runs(1);

    // The daemon is killed after it has written the file of a version, and before the record of it.
    let [record, before] = ["versions", "before"].map(|name| folder.setup.path(name));
    copy(&record, &before);
    folder
        .daemon
        .put("/handlers/probe", probe(2))
        .assert_status(200);
    let Folder { setup, daemon } = folder;
    daemon.kill();
    copy(&before, &record);
    let daemon = setup.start();
    let folder = Folder { setup, daemon };
    folder.assert_runs(2);
    folder
        .daemon
        .post("/handlers/probe/rollback")
        .assert_status(200);
    folder.assert_runs(1);
}

#[test]
fn without_a_record_nothing_passes_until_a_bad_file_is_replaced_or_taken_out() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], "");
    let [probe_file, extra] =
        ["plugins/00-probe.wasm", "plugins/20-extra.wasm"].map(|name| setup.path(name));
    fs::write(&probe_file, "junk").expect("the file is written");
    fs::write(&extra, "junk").expect("the file is written");
    let daemon = setup.start_listening();
    let folder = Folder { setup, daemon };
    folder.wait_for_hold("the handler probe is not loaded: ");
    folder.wait_for("the broker", |folder| {
        let sent = folder
            .daemon
            .post_body("/send", "application/json", evento("a", "version"));
        sent.status == 200
    });
    folder.wait_for_lag(1.0);
    // A pause counts although there is nothing that could run, and so does the rest after a restart.
    folder.daemon.pause("probe");
    let folder = folder.restart(|_| {});
    folder.wait_for_hold("the handler extra is not loaded: ");
    fs::remove_file(&extra).expect("the file is removed");
    folder.wait_for("one that is left", |folder| folder.handlers().len() == 2);
    folder.wait_for_hold("the handler probe is not loaded: ");
    folder.wait_for_lag(1.0);
    assert_eq!(folder.daemon.metric_sum("eventos_consumed_total"), 0.0);
    folder.drop_in("00-probe.wasm", &probe(1));
    folder.daemon.wait_until_ready();
    assert_eq!(folder.handler("probe").expect("it")["state"], "paused");
    assert_eq!(folder.daemon.metric_sum("eventos_consumed_total"), 0.0);
    folder.daemon.resume("probe");
    assert_eq!(folder.mark("a"), "probe-version-1");

    // A record that cannot be read is none, and says nothing about what may be left out.
    let folder = folder.restart(|setup| {
        let records = fs::read_dir(setup.path("versions")).expect("listed");
        for record in records {
            let path = record.expect("listed").path().join("chain.json");
            fs::write(path, "{").expect("the file is written");
        }
        fs::write(&extra, "junk").expect("the file is written");
    });
    folder
        .daemon
        .wait_for_log("cannot use the record of the last chain");
    folder.wait_for_hold("the handler extra is not loaded: ");
    fs::remove_file(&extra).expect("the file is removed");
    folder.assert_runs(1);
}

#[test]
fn a_pause_survives_a_restart_and_what_is_missing_then_is_waited_for() {
    let folder = Folder::new(&["probe", "store"]);
    folder.daemon.pause("probe");
    // Neither a shutdown nor a kill ends it.
    let Folder { setup, daemon } = folder;
    daemon.kill();
    let daemon = setup.start();
    let folder = Folder { setup, daemon }.restart(|_| {});
    folder.daemon.wait_until_ready();
    assert_eq!(folder.handler("probe").expect("it")["state"], "paused");
    folder.daemon.send(&evento("a", "version"));
    folder.wait_for_lag(1.0);
    assert_eq!(folder.daemon.metric_sum("eventos_consumed_total"), 0.0);
    folder.daemon.resume("probe");
    assert_eq!(folder.mark("a"), "probe-version-0");

    // The folder is not there at the start, as when it is mounted later.
    let folder = folder.restart(|setup| {
        fs::rename(setup.path("plugins"), setup.path("elsewhere")).expect("the folder is moved");
    });
    folder.wait_for_hold("cannot read the handlers' folder");
    let elsewhere = folder.setup.path("elsewhere");
    fs::rename(elsewhere, folder.dir()).expect("the folder is moved");
    folder.assert_runs(0);
    // A file that was taken out meanwhile is a handler that was removed.
    let folder = folder.restart(|setup| {
        fs::remove_file(setup.path("plugins/00-probe.wasm")).expect("the file is removed");
    });
    folder.daemon.wait_until_ready();
    assert_eq!(folder.marked_by("b"), "unmarked");
}

#[test]
fn a_full_disk_costs_no_good_file_and_is_reported() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], "");
    // The file of a handler is written under such a name before it is renamed.
    let disk = FaultyDisk::new(setup.dir.path(), ".wasm.new");
    for (name, value) in disk.environment() {
        setup.set_env(name, &value);
    }
    let daemon = setup.start();
    let folder = Folder { setup, daemon };
    // Neither the folder nor the versions have room.
    disk.set_failing(DiskFault::Write, true);
    folder
        .daemon
        .put("/handlers/probe", probe(1))
        .problem(500, "storage");
    assert_eq!(
        fs::read(folder.file("00-probe.wasm")).expect("the file"),
        fs::read(handler("probe")).expect("the file")
    );
    folder.assert_runs(0);
    // Another process has room to put a file there.
    folder.drop_in("00-probe.wasm", &probe(1));
    folder.assert_runs(1);
    let unsaved = |folder: &Folder| folder.handler("probe").expect("it")["unsaved"].clone();
    folder.wait_for("what is not saved", |folder| {
        let why = unsaved(folder);
        why.as_str()
            .is_some_and(|why| why.contains("No space left"))
    });
    folder
        .daemon
        .wait_for_log("cannot save the chain of handlers");
    disk.set_failing(DiskFault::Write, false);
    // It is still in memory, and is saved with the next change.
    folder
        .daemon
        .post("/handlers/probe/rollback")
        .assert_status(200);
    assert!(unsaved(&folder).is_null());
    let folder = folder.restart(|_| {});
    folder.daemon.wait_until_ready();
    folder
        .daemon
        .post("/handlers/probe/rollback")
        .assert_status(200);
    folder.assert_runs(1);
}

#[test]
fn a_pause_does_not_hold_up_a_rebalance() {
    let folder = Folder::new(&["probe", "store"]);
    folder.daemon.pause("store");
    let eventos: Vec<_> = (0..100).map(|id| evento(id, "good")).collect();
    for partition in 0..4 {
        send_to(&folder.setup, &folder.daemon, partition, &eventos);
    }
    folder.wait_for_lag(400.0);
    let mut second = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    second.servers = folder.daemon.broker().to_owned();
    second.name.clone_from(&folder.setup.name);
    let began = Instant::now();
    let other = second.start();
    let shared = |daemon: &eventos_testkit::Daemon| {
        let listed = daemon.get("/partitions").json();
        listed.as_array().expect("an array").len()
    };
    eventually("both to have partitions", || {
        (shared(&folder.daemon) == 2 && shared(&other) == 2).then_some(())
    });
    // Batches in flight would be waited for 25 s.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    other.wait_for_consumed(200);
    assert_eq!(folder.daemon.metric_sum("eventos_consumed_total"), 0.0);
}
