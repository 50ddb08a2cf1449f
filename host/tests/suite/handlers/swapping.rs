//! Handlers that come, go and change while Eventos pass.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::mpsc, thread};

use eventos_testkit::{Broker, Daemon, Load, Setup, eventually, handler, produce};
use rdkafka::producer::BaseRecord;
use reqwest::StatusCode;
use serde_json::Value;

use super::{TIMESTAMP, evento};
use crate::EVENTOS;

/// The probe with another digit in the text that it marks Eventos with.
fn probe(version: u8) -> Vec<u8> {
    const MARK: &[u8] = b"probe-version-";
    let mut bytes = fs::read(handler("probe")).expect("built");
    let places: Vec<_> = bytes
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, w)| *w == MARK)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(places.len(), 1, "the mark stands once in the file");
    bytes[places[0] + MARK.len()] = b'0' + version;
    bytes
}

struct Folder {
    setup: Setup,
    daemon: Daemon,
}

impl Folder {
    fn new(handlers: &[&str]) -> Self {
        let setup = Setup::new(EVENTOS, Broker::Embedded, handlers, "");
        let daemon = setup.start();
        Self { setup, daemon }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.setup.dir.path().join("plugins").join(name)
    }

    /// As a good tool does it: whole or not at all.
    fn drop_in(&self, name: &str, bytes: &[u8]) {
        let hidden = self.file(".new");
        fs::write(&hidden, bytes).expect("written");
        fs::rename(hidden, self.file(name)).expect("renamed");
    }

    fn handlers(&self) -> Vec<Value> {
        let answer = self
            .daemon
            .client()
            .get(self.daemon.url("/handlers"))
            .send();
        answer.expect("answered").json().expect("JSON")
    }

    fn handler(&self, name: &str) -> Option<Value> {
        self.handlers()
            .into_iter()
            .find(|handler| handler["name"] == name)
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        eventually(what, || holds(self).then_some(()));
    }

    fn act(&self, method: reqwest::Method, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let request = self.daemon.client().request(method, self.daemon.url(path));
        let answer = request.body(body).send().expect("answered");
        let status = answer.status();
        let text = answer.text().expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn post(&self, path: &str) -> (StatusCode, Value) {
        self.act(reqwest::Method::POST, path, Vec::new())
    }

    /// Sends an Evento and waits until it is stored; answers who marked it.
    fn marked_by(&self, id: &str) -> String {
        self.daemon.send(&evento(id, "version"));
        let stored = eventually("the Evento to be stored", || {
            let answer = self
                .daemon
                .client()
                .get(self.daemon.url(&format!("/messages/{id}")))
                .send();
            answer
                .expect("answered")
                .json::<Value>()
                .ok()
                .filter(|stored| stored["id"] == id)
        });
        stored["by"].as_str().unwrap_or("nobody").to_owned()
    }
}

#[test]
fn a_file_is_a_handler_as_soon_as_it_lies_there_and_none_when_it_is_gone() {
    let folder = Folder::new(&["store"]);
    assert_eq!(folder.marked_by("a"), "nobody");
    folder.drop_in("00-a-probe.wasm", &probe(1));
    folder.wait_for("two handlers", |folder| folder.handlers().len() == 2);
    assert_eq!(folder.marked_by("b"), "probe-version-1");
    // Replaced, the state and the order stay.
    let before = folder.handler("a-probe").expect("it is there")["digest"].clone();
    folder.drop_in("00-a-probe.wasm", &probe(2));
    folder.wait_for("another version", |folder| {
        folder.handler("a-probe").expect("it is there")["digest"] != before
    });
    assert_eq!(folder.marked_by("c"), "probe-version-2");
    let status = folder.handler("a-probe").expect("it is there");
    assert_eq!(status["previous"], before);
    assert_eq!(status["state"], "running");
    assert!(status["calls"].as_u64().expect("a number") >= 2, "{status}");
    // Behind the store it marks nothing that is stored.
    fs::rename(
        folder.file("00-a-probe.wasm"),
        folder.file("99-a-probe.wasm"),
    )
    .expect("renamed");
    folder.wait_for("another order", |folder| {
        folder.handlers()[1]["name"] == "a-probe"
    });
    assert_eq!(folder.marked_by("d"), "nobody");
    fs::remove_file(folder.file("99-a-probe.wasm")).expect("removed");
    folder.wait_for("one handler", |folder| folder.handlers().len() == 1);
    let removed = "eventos_handler_state{handler=\"a-probe\",state=\"removed\"}";
    assert_eq!(folder.daemon.metric(removed), Some(1.0));
}

#[test]
fn a_bad_file_displaces_nothing_and_says_why() {
    let folder = Folder::new(&["probe", "store"]);
    let before = folder.handler("probe").expect("it is there")["digest"].clone();
    folder.drop_in("00-probe.wasm", b"this is no WebAssembly");
    folder.wait_for("word of the bad file", |folder| {
        folder.handler("probe").expect("it is there")["error"].is_string()
    });
    let status = folder.handler("probe").expect("it is there");
    assert_eq!(
        (&status["state"], &status["digest"]),
        (&Value::from("running"), &before)
    );
    let error = status["error"].as_str().expect("a text");
    assert!(error.contains("not WebAssembly"), "{error}");
    assert_eq!(folder.marked_by("a"), "probe-version-0");
    // A new one that is bad is there, and in nobody's way.
    folder.drop_in("05-worse.wasm", b"\0asm\x01\0\0\0");
    folder.wait_for("the worse one", |folder| folder.handler("worse").is_some());
    assert_eq!(
        folder.handler("worse").expect("it is there")["state"],
        "refused"
    );
    assert_eq!(folder.marked_by("b"), "probe-version-0");
    // Over HTTP it does not even get into the folder.
    let (status, problem) = folder.act(reqwest::Method::PUT, "/handlers/probe", b"junk".to_vec());
    assert_eq!(status, 422);
    assert_eq!(problem["type"], "urn:eventos:problem:invalid-handler");
    let (status, _) = folder.act(reqwest::Method::PUT, "/handlers/a%20b", probe(1));
    assert_eq!(status, 422);
    // And what is mended is taken.
    folder.drop_in("00-probe.wasm", &probe(3));
    folder.wait_for("the mended file", |folder| {
        folder.handler("probe").expect("it is there")["error"].is_null()
    });
    assert_eq!(folder.marked_by("c"), "probe-version-3");
}

#[test]
fn handlers_are_put_rolled_back_and_deleted_over_http() {
    let folder = Folder::new(&["store"]);
    let put = |version| folder.act(reqwest::Method::PUT, "/handlers/00-a-probe", probe(version));
    let (status, put_first) = put(1);
    assert_eq!(
        (status, &put_first["name"]),
        (StatusCode::CREATED, &Value::from("a-probe"))
    );
    assert_eq!(folder.marked_by("a"), "probe-version-1");
    let (status, _) = folder.post("/handlers/a-probe/rollback");
    assert_eq!(status, 409, "there is nothing before it");
    assert_eq!(put(2).0, StatusCode::OK);
    assert_eq!(folder.marked_by("b"), "probe-version-2");
    let (status, rolled_back) = folder.post("/handlers/a-probe/rollback");
    assert_eq!(
        (status, &rolled_back["digest"]),
        (StatusCode::OK, &put_first["digest"])
    );
    assert_eq!(folder.marked_by("c"), "probe-version-1");
    // The folder says so too, and so will the next start.
    assert_eq!(
        fs::read(folder.file("00-a-probe.wasm")).expect("there"),
        probe(1)
    );
    let (status, _) = folder.act(reqwest::Method::DELETE, "/handlers/a-probe", Vec::new());
    assert_eq!(status, 204);
    assert!(!folder.file("00-a-probe.wasm").exists());
    assert_eq!(folder.marked_by("d"), "nobody");
    for (method, path) in [
        (reqwest::Method::DELETE, "/handlers/a-probe"),
        (reqwest::Method::GET, "/handlers/a-probe"),
        (reqwest::Method::POST, "/handlers/a-probe/pause"),
        (reqwest::Method::POST, "/handlers/store/fly"),
    ] {
        assert_eq!(folder.act(method, path, Vec::new()).0, 404, "{path}");
    }
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let folder = Folder::new(&["store"]);
    let pause = |origin: &str| {
        let url = folder.daemon.url("/handlers/store/pause");
        let request = folder.daemon.client().post(url).header("origin", origin);
        request.send().expect("answered").status()
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
    let (status, paused) = folder.post("/handlers/probe/pause");
    assert_eq!(
        (status, &paused["state"]),
        (StatusCode::OK, &Value::from("paused"))
    );
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
    // A version that comes meanwhile is the one that handles them.
    assert_eq!(
        folder
            .act(reqwest::Method::PUT, "/handlers/probe", probe(1))
            .0,
        StatusCode::OK
    );
    assert_eq!(folder.daemon.sum("eventos_consumed_total"), 1.0);
    assert_eq!(folder.post("/handlers/probe/resume").0, StatusCode::OK);
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
    const A_SWAP: usize = 200;
    let folder = Folder::new(&["probe", "store"]);
    let topic = folder.setup.topic();
    let sent = SWAPS * A_SWAP;
    // A load that a slow machine does not make longer: with each swap come so many, at the same time.
    let (swapping, swaps) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let load = || {
            let load = Load::new(folder.daemon.broker());
            for (swap, ()) in swaps.into_iter().enumerate() {
                let ids = swap * A_SWAP..(swap + 1) * A_SWAP;
                let eventos: Vec<_> = ids.clone().map(|i| evento(i, "version")).collect();
                let records = eventos.iter().zip(ids).map(|(evento, i)| {
                    let record = BaseRecord::<[u8], [u8]>::to(&topic);
                    record
                        .partition((i % PARTITIONS) as i32)
                        .payload(evento.as_bytes())
                });
                load.send(records);
            }
            load.finish();
        };
        scope.spawn(load);
        for swap in 0..SWAPS {
            swapping.send(()).expect("the load goes on");
            let version = 1 + u8::try_from(swap % 2).expect("it is small");
            let (status, problem) =
                folder.act(reqwest::Method::PUT, "/handlers/probe", probe(version));
            assert_eq!(status, StatusCode::OK, "{problem}");
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
            .entry(one["by"].as_str().expect("marked").to_owned())
            .or_default() += 1;
    }
    for (partition, ids) in by_partition {
        let expected: Vec<_> = (partition..sent).step_by(PARTITIONS).collect();
        assert_eq!(ids, expected, "partition {partition}");
    }
    for version in ["probe-version-1", "probe-version-2"] {
        assert!(versions.contains_key(version), "{versions:?}");
    }
    assert_eq!(folder.daemon.sum("eventos_dead_letters_total"), 0.0);
}
