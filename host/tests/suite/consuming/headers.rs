//! Headers whose names are not UTF-8, which Kafka's protocol demands and no broker checks.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, process::Command};

use eventos_testkit::{Program, eventually};
use serde_json::{Value, json};

use super::{BROKERS, setup, wait_until_handled};

/// A name and a value, as kcat takes them.
const HEADER: &[u8] = b"caf\xe9=ole";

#[test]
fn a_header_name_that_is_not_utf8_makes_a_dead_letter_that_keeps_its_bytes() {
    for broker in BROKERS {
        let setup = setup(broker);
        let daemon = setup.start();
        let send = |id: &str, header: &[u8]| {
            let mut kcat = Command::new("kcat");
            kcat.args([
                "-P",
                "-b",
                daemon.broker(),
                "-t",
                &setup.topic(),
                "-k",
                "k",
                "-H",
            ]);
            let evento = format!("{{\"id\":\"{id}\",\"tipo\":\"t\"}}\n");
            Program::run(kcat.arg(OsStr::from_bytes(header)), &evento);
        };
        send("before", b"a=1");
        send("bad", HEADER);
        send("after", b"a=1");
        wait_until_handled(&setup, &daemon, &["before".to_owned(), "after".to_owned()]);
        let letter = eventually("the dead letter", || {
            let letters = daemon.get("/dead-letters").json();
            letters.get(0).cloned()
        });
        assert_eq!(letter["headers"], json!([[{"base64": "Y2Fm6Q=="}, "ole"]]));
        assert_eq!(letter["reason"]["class"], "eventos.InvalidHeader");
        let why = "the name of header 0, counted from 0, is not UTF-8";
        assert_eq!(letter["reason"]["message"], why);
        assert_eq!(letter["key"], "k");

        // A redriven record is the same record, and fails again.
        let answer = daemon.post("/dead-letters/redrive?all=true");
        assert_eq!(answer.status, 200, "{}", answer.text);
        let again = eventually("the second dead letter", || {
            let letters = daemon.get("/dead-letters").json();
            letters.get(1).cloned()
        });
        assert_eq!(again["headers"], letter["headers"]);
        assert_eq!(again["redriven"], 1);
        // The daemon is still there, and so it is after a restart.
        daemon.kill();
        let daemon = setup.start();
        let stored: Vec<Value> = daemon.wait_for_messages(2);
        assert_eq!(stored[1]["id"], "after");
    }
}
