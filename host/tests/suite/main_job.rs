//! The main job on real data: in over HTTP, through Kafka and a WebAssembly handler, and out again.

use eventos_testkit::{Broker, Setup, sismos};
use serde_json::Value;

use crate::EVENTOS;

#[test]
fn sismos_come_back_as_they_went_in_with_the_broker_inside() {
    sismos_come_back(Broker::Embedded);
}

#[test]
fn sismos_come_back_as_they_went_in_with_kafka() {
    sismos_come_back(Broker::Kafka);
}

fn sismos_come_back(broker: Broker) {
    let setup = Setup::new(EVENTOS, broker, &["store"], "");
    let daemon = setup.start();
    let sismos = sismos();
    let request = daemon.client().post(daemon.url("/send/batch"));
    let request = request.header("content-type", "application/x-ndjson");
    let answer = request.body(sismos.join("\n")).send().expect("answered");
    assert_eq!(answer.status(), 200);
    let answer = answer.text().expect("a body");
    let lines: Vec<Value> = answer
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), sismos.len());
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(
            (&line["status"], &line["index"]),
            (&"message sent".into(), &i.into())
        );
    }

    daemon.wait_for_messages(sismos.len());
    // To the letter, and in the order in which they were sent.
    assert_eq!(
        daemon.messages("?limit=2000"),
        format!("[{}]", sismos.join(","))
    );
}
