//! Handlers that are added, replaced and removed while Eventos flow.

use std::{collections::BTreeMap, fs, sync::mpsc, thread};

use eventos_testkit::{TestProducer, handler, produce};
use rdkafka::producer::BaseRecord;
use reqwest::Method;
use serde_json::Value;

use super::{TIMESTAMP, evento, folder::Folder};

/// Returns the component `probe` with another digit in the text that it marks Eventos with.
pub(super) fn probe(version: u8) -> Vec<u8> {
    const MARK: &[u8] = b"probe-version-";
    let mut bytes = fs::read(handler("probe")).expect("a component that was built");
    let places: Vec<_> = bytes
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, w)| *w == MARK)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(places.len(), 1, "the mark is in the file once");
    bytes[places[0] + MARK.len()] = b'0' + version;
    bytes
}

#[test]
fn a_file_is_a_handler_as_soon_as_it_lies_there_and_none_when_it_is_gone() {
    let folder = Folder::new(&["store"]);
    assert_eq!(folder.marked_by("a"), "unmarked");
    folder.drop_in("00-a-probe.wasm", &probe(1));
    folder.wait_for("two handlers", |folder| folder.handlers().len() == 2);
    assert_eq!(folder.marked_by("b"), "probe-version-1");
    // A replaced handler keeps its state and its place in the order.
    let before = folder.handler("a-probe").expect("the handler")["digest"].clone();
    folder.drop_in("00-a-probe.wasm", &probe(2));
    folder.wait_for("another version", |folder| {
        folder.handler("a-probe").expect("the handler")["digest"] != before
    });
    assert_eq!(folder.marked_by("c"), "probe-version-2");
    let status = folder.handler("a-probe").expect("the handler");
    assert_eq!(status["previous"], before);
    assert_eq!(status["state"], "running");
    assert!(status["calls"].as_u64().expect("a number") >= 2, "{status}");
    // After `store`, it no longer marks what is stored.
    fs::rename(
        folder.file("00-a-probe.wasm"),
        folder.file("99-a-probe.wasm"),
    )
    .expect("the file is renamed");
    folder.wait_for("another order", |folder| {
        folder.handlers()[1]["name"] == "a-probe"
    });
    assert_eq!(folder.marked_by("d"), "unmarked");
    fs::remove_file(folder.file("99-a-probe.wasm")).expect("the file is removed");
    folder.wait_for("one handler", |folder| folder.handlers().len() == 1);
    let removed = "eventos_handler_state{handler=\"a-probe\",state=\"removed\"}";
    assert_eq!(folder.daemon.metric(removed), Some(1.0));
}

#[test]
fn a_bad_file_displaces_nothing_and_says_why() {
    let folder = Folder::new(&["probe", "store"]);
    let before = folder.handler("probe").expect("the handler")["digest"].clone();
    folder.drop_in("00-probe.wasm", b"this is not WebAssembly");
    folder.wait_for("the error of the bad file", |folder| {
        folder.handler("probe").expect("the handler")["error"].is_string()
    });
    let status = folder.handler("probe").expect("the handler");
    assert_eq!(
        (&status["state"], &status["digest"]),
        (&Value::from("running"), &before)
    );
    let error = status["error"].as_str().expect("a text");
    assert!(error.contains("not WebAssembly"), "{error}");
    assert_eq!(folder.marked_by("a"), "probe-version-0");
    // A bad file with a new name is listed, and does not affect the others.
    folder.drop_in("05-worse.wasm", b"\0asm\x01\0\0\0");
    folder.wait_for("the second bad file", |folder| {
        folder.handler("worse").is_some()
    });
    assert_eq!(
        folder.handler("worse").expect("the handler")["state"],
        "refused"
    );
    assert_eq!(folder.marked_by("b"), "probe-version-0");
    // A bad component that is sent over HTTP is not written into the folder.
    let answer = folder.daemon.put("/handlers/probe", b"junk");
    answer.problem(422, "invalid-handler");
    let answer = folder.daemon.put("/handlers/a%20b", probe(1));
    answer.assert_status(422);
    // A good file takes the place of the bad one.
    folder.drop_in("00-probe.wasm", &probe(3));
    folder.wait_for("the good file", |folder| {
        folder.handler("probe").expect("the handler")["error"].is_null()
    });
    assert_eq!(folder.marked_by("c"), "probe-version-3");
}

#[test]
fn handlers_are_put_rolled_back_and_deleted_over_http() {
    let folder = Folder::new(&["store"]);
    let daemon = &folder.daemon;
    let put = |version| daemon.put("/handlers/00-a-probe", probe(version));
    let first = put(1).assert_status(201).json();
    assert_eq!(first["name"], "a-probe");
    assert_eq!(folder.marked_by("a"), "probe-version-1");
    // The first version has none before it.
    daemon.post("/handlers/a-probe/rollback").assert_status(409);
    put(2).assert_status(200);
    assert_eq!(folder.marked_by("b"), "probe-version-2");
    let rolled_back = daemon.post("/handlers/a-probe/rollback");
    let rolled_back = rolled_back.assert_status(200).json();
    assert_eq!(rolled_back["digest"], first["digest"]);
    assert_eq!(folder.marked_by("c"), "probe-version-1");
    // The folder has that version, too, so the next start runs it.
    assert_eq!(
        fs::read(folder.file("00-a-probe.wasm")).expect("the file"),
        probe(1)
    );
    daemon.delete("/handlers/a-probe").assert_status(204);
    assert!(!folder.file("00-a-probe.wasm").exists());
    assert_eq!(folder.marked_by("d"), "unmarked");
    for answer in [
        daemon.delete("/handlers/a-probe"),
        daemon.get("/handlers/a-probe"),
        daemon.post("/handlers/a-probe/pause"),
        daemon.post("/handlers/store/fly"),
    ] {
        answer.assert_status(404);
    }
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let folder = Folder::new(&["store"]);
    let pause = |origin: &str| {
        let request = folder.daemon.request(Method::POST, "/handlers/store/pause");
        let request = request.header("origin", origin);
        request.send().expect("the daemon answers").status()
    };
    for origin in ["http://example.com", "http://127.0.0.1", "null"] {
        assert_eq!(pause(origin), 403, "{origin}");
    }
    assert_eq!(folder.handlers()[0]["state"], "running");
    assert_eq!(pause(&folder.daemon.url("")), 200);
}

#[test]
fn a_paused_handler_holds_everything_up_and_loses_nothing() {
    let folder = Folder::new(&["probe", "store"]);
    assert_eq!(folder.marked_by("a"), "probe-version-0");
    let paused = folder.daemon.post("/handlers/probe/pause");
    assert_eq!(paused.assert_status(200).json()["state"], "paused");
    let state = |state| format!("eventos_handler_state{{handler=\"probe\",state=\"{state}\"}}");
    assert_eq!(folder.daemon.metric(&state("paused")), Some(1.0));
    assert_eq!(folder.daemon.metric(&state("running")), Some(0.0));
    let sent: Vec<_> = (0..5_000).map(|i| evento(i, "version")).collect();
    let topic = folder.setup.topic();
    let records = sent.iter().zip(TIMESTAMP..).map(|(evento, at)| {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition((at % 4) as i32);
        record.timestamp(at).payload(evento.as_bytes())
    });
    produce(folder.daemon.broker(), records);
    // The version that is put in place during the pause handles them.
    let put = folder.daemon.put("/handlers/probe", probe(1));
    put.assert_status(200);
    assert_eq!(folder.daemon.metric_sum("eventos_consumed_total"), 1.0);
    let resumed = folder.daemon.post("/handlers/probe/resume");
    resumed.assert_status(200);
    let stored = folder.daemon.wait_for_messages(5_001);
    assert!(
        stored
            .iter()
            .filter(|one| one["by"] == "probe-version-1")
            .count()
            == 5_000
    );
}

#[test]
fn a_hundred_swaps_under_load_lose_nothing_double_nothing_and_keep_the_order() {
    const PARTITIONS: usize = 4;
    const SWAPS: usize = 100;
    const PER_SWAP: usize = 200;
    let folder = Folder::new(&["probe", "store"]);
    let topic = folder.setup.topic();
    let sent = SWAPS * PER_SWAP;
    // The load does not depend on the speed of the machine: with each swap, this number of Eventos is sent at the same time.
    let (swapping, swaps) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let load = || {
            let producer = TestProducer::new(folder.daemon.broker());
            for (swap, ()) in swaps.into_iter().enumerate() {
                let ids = swap * PER_SWAP..(swap + 1) * PER_SWAP;
                let eventos: Vec<_> = ids.clone().map(|i| evento(i, "version")).collect();
                let records = eventos.iter().zip(ids).map(|(evento, i)| {
                    let record = BaseRecord::<[u8], [u8]>::to(&topic);
                    record
                        .partition((i % PARTITIONS) as i32)
                        .payload(evento.as_bytes())
                });
                producer.send(records);
            }
            producer.finish();
        };
        scope.spawn(load);
        for swap in 0..SWAPS {
            swapping.send(()).expect("the sender is running");
            let version = 1 + u8::try_from(swap % 2).expect("a small number");
            let put = folder.daemon.put("/handlers/probe", probe(version));
            put.assert_status(200);
        }
        drop(swapping);
    });
    let stored = folder.daemon.wait_for_messages(sent);
    let mut by_partition = BTreeMap::<usize, Vec<usize>>::new();
    let mut versions = BTreeMap::<String, usize>::new();
    for one in &stored {
        let id: usize = one["id"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("a number");
        by_partition.entry(id % PARTITIONS).or_default().push(id);
        *versions
            .entry(one["by"].as_str().expect("a mark").to_owned())
            .or_default() += 1;
    }
    for (partition, ids) in by_partition {
        let expected: Vec<_> = (partition..sent).step_by(PARTITIONS).collect();
        assert_eq!(ids, expected, "partition {partition}");
    }
    for version in ["probe-version-1", "probe-version-2"] {
        assert!(versions.contains_key(version), "{versions:?}");
    }
    assert_eq!(folder.daemon.metric_sum("eventos_dead_letters_total"), 0.0);
}
