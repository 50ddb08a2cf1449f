//! aiokafka, a client in pure Python with its own protocol code, partitioner and group assignors.

use eventos_testkit::{Daemon, Program, Setup, json_lines, python};
use serde_json::{Value, json};

use super::{daemon, keys, members, send_with_key, set};

/// Sends an Evento for each key. Returns partition and offset of each.
fn send(daemon: &Daemon, setup: &Setup, keys: &[String]) -> Vec<Value> {
    let mut script = python("clients/aiokafka_producer.py");
    script.args([daemon.broker(), &setup.topic()]).args(keys);
    json_lines(&Program::run(&mut script, ""))
}

#[test]
fn what_it_sends_is_acknowledged_and_stored() {
    let (setup, daemon) = daemon();
    let mut keys = keys(50);
    let sent = send(&daemon, &setup, &keys);
    let stored = daemon.wait_for_messages(keys.len());
    keys.sort();
    assert_eq!(
        (members("key", &sent), members("id", &stored)),
        (keys.clone(), keys)
    );
}

/// Both use Kafka's default partitioner, murmur2, so the records of a key keep their order even if different clients send them.
#[test]
fn a_key_has_one_partition_whoever_sends_it() {
    let (setup, daemon) = daemon();
    let keys = keys(60);
    let theirs = send(&daemon, &setup, &keys);
    let ours = keys.iter().map(|key| {
        let partition = send_with_key(&daemon, key);
        (json!(key), json!(partition))
    });
    let ours: Vec<_> = ours.collect();
    let theirs: Vec<_> = theirs
        .iter()
        .map(|sent| (sent["key"].clone(), sent["partition"].clone()))
        .collect();
    assert_eq!(ours, theirs);
    let used = set(ours.iter().map(|(_, partition)| partition.to_string()));
    assert_eq!(used.len(), 4, "the keys cover all partitions: {used:?}");
}

#[test]
fn two_members_share_the_partitions_and_all_records() {
    let (setup, daemon) = daemon();
    let keys = keys(80);
    for key in &keys {
        send_with_key(&daemon, key);
    }
    let mut script = python("clients/aiokafka_group.py");
    script.args([
        daemon.broker(),
        &setup.topic(),
        "aiokafka-group",
        &keys.len().to_string(),
    ]);
    let results = json_lines(&Program::run(&mut script, ""));
    let list = |member: usize, name: &str| -> Vec<String> {
        let list = results[member][name].as_array().expect("a list");
        list.iter().map(Value::to_string).collect()
    };
    assert_eq!(results.len(), 2);
    assert_eq!(
        (list(0, "partitions").len(), list(1, "partitions").len()),
        (2, 2)
    );
    let partitions = [list(0, "partitions"), list(1, "partitions")].concat();
    assert_eq!(
        set(partitions),
        set(["0", "1", "2", "3"].map(str::to_owned))
    );
    let received = [list(0, "keys"), list(1, "keys")].concat();
    assert_eq!(received.len(), keys.len(), "each by only one member");
    assert_eq!(
        set(received),
        set(keys.iter().map(|key| json!(key).to_string()))
    );
}
