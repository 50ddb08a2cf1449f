//! The main job with real data: sent over HTTP, through Kafka and a WebAssembly handler, and read back.

use eventos_testkit::{Broker, Setup, sismos};

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
    daemon.send_all(&sismos);
    daemon.wait_for_messages(sismos.len());
    // The texts are the same, in the order in which they were sent.
    assert_eq!(
        daemon.messages("?limit=2000"),
        format!("[{}]", sismos.join(","))
    );
}
