//! The prototype's own two programs, which the daemon replaces and has to get along with.

use eventos_testkit::{Broker, Daemon, Program, Setup, committed, ends, eventually, group, python};
use serde_json::{Value, json};

use super::{all, keys, send_with_key, set};
use crate::EVENTOS;

/// As both have it written into them.
const TOPIC: &str = "eventos";

/// A daemon with the broker inside, on their topic; in a group with their consumer it shares out as that one does.
fn daemon() -> (Setup, Daemon) {
    let theirs = "[kafka.properties]\n\"partition.assignment.strategy\" = \"roundrobin\"\n";
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], theirs);
    setup.set("EVENTOS__KAFKA__TOPIC", TOPIC);
    let daemon = setup.start();
    (setup, daemon)
}

/// One of the two, and where it serves HTTP.
struct Prototype {
    program: Program,
    http: String,
    client: reqwest::blocking::Client,
}

impl Prototype {
    /// Starts one on the daemon's broker; an empty group is the one that it has of itself.
    fn start(name: &str, daemon: &Daemon, group: &str) -> Self {
        let mut run = python("seed/run.py");
        let program = Program::start(run.args([name, daemon.broker(), group, "0"]), "");
        let http = program.wait_for_word_after("Uvicorn running on ");
        let client = reqwest::blocking::Client::new();
        Self {
            program,
            http,
            client,
        }
    }

    fn send(&self, evento: &Value) -> Value {
        let request = self.client.post(format!("{}/send", self.http));
        let answer = request.json(evento).send().expect("answered");
        assert_eq!(answer.status(), 200, "{}", self.program.errors());
        answer.json().expect("JSON")
    }

    fn messages(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/messages", self.http)).send();
        answer.expect("answered").json().expect("JSON")
    }
}

#[test]
fn what_their_producer_sends_is_in_our_messages() {
    let (_setup, daemon) = daemon();
    let producer = Prototype::start("producer", &daemon, "");
    for i in 0..20 {
        let evento = json!({"id": format!("p-{i}"), "tipo": "sismo"});
        // Our own /send answers the same, and more.
        let expected = json!({"status": "message sent", "evento": evento});
        assert_eq!(producer.send(&evento), expected);
        // Its records have no key: one at a time, their order is that of the topic.
        assert_eq!(daemon.wait_for_messages(i + 1)[i], evento);
    }
}

#[test]
fn what_our_send_takes_is_in_their_consumers_messages() {
    let (setup, daemon) = daemon();
    // Before it starts, and after: it begins with the earliest.
    daemon.send(r#"{"id":"early","tipo":"sismo"}"#);
    let consumer = Prototype::start("consumer", &daemon, "a-group-of-its-own");
    daemon.send(r#"{"id":"late","tipo":"sismo","magnitud":7.10}"#);
    let seen = eventually("both Eventos in their /messages", || {
        let seen = consumer.messages();
        (seen.len() >= 2).then_some(seen)
    });
    // Their model has two members, and lets go of the others.
    assert_eq!(all("id", &seen), ["early", "late"]);
    assert_eq!(all("tipo", &seen), ["sismo", "sismo"]);
    assert_eq!(daemon.wait_for_messages(2)[1]["magnitud"], json!(7.1));
    // A group of its own takes nothing from ours, and commits for itself.
    wait_until_all_is_committed(&daemon, "a-group-of-its-own");
    wait_until_all_is_committed(&daemon, &setup.name);
}

/// Beside each other in one group, the two share the partitions, as two daemons do.
#[test]
fn their_consumer_in_our_group_takes_its_share_and_gives_it_back() {
    let (setup, daemon) = daemon();
    let consumer = Prototype::start("consumer", &daemon, &setup.name);
    wait_for_members(&daemon, &setup, 2);

    let keys = keys(60);
    let partitions = keys.iter().map(|key| send_with_key(&daemon, key));
    assert_eq!(set(partitions.map(|p| p.to_string())).len(), 4);
    let (ours, theirs) = eventually("every Evento to be seen", || {
        let ours = serde_json::from_str(&daemon.messages("")).expect("JSON");
        let (ours, theirs): (Vec<Value>, _) = (ours, consumer.messages());
        (ours.len() + theirs.len() >= keys.len()).then(|| (all("id", &ours), all("id", &theirs)))
    });
    assert!(
        !ours.is_empty() && !theirs.is_empty(),
        "{ours:?} {theirs:?}"
    );
    let both: Vec<_> = ours.iter().chain(&theirs).cloned().collect();
    assert_eq!(both.len(), keys.len(), "nothing is seen by both");
    assert_eq!(set(both), set(keys.clone()));

    // It commits every 5 seconds, and what it has not is handled again when it is gone. That it
    // goes it does not say: the group waits for it for 10 seconds.
    wait_until_all_is_committed(&daemon, &setup.name);
    consumer.program.terminate();
    wait_for_members(&daemon, &setup, 1);
    for key in &keys {
        send_with_key(&daemon, key);
    }
    // Its partitions came here, and with them what it had of them.
    let stored = daemon.wait_for_messages(2 * keys.len());
    assert_eq!(set(all("id", &stored)), set(keys));
}

fn wait_until_all_is_committed(daemon: &Daemon, group: &str) {
    eventually(&format!("{group} to commit everything"), || {
        let broker = daemon.broker();
        (committed(broker, group, TOPIC) == ends(broker, TOPIC)).then_some(())
    });
}

/// Waits until the group is settled with so many members.
fn wait_for_members(daemon: &Daemon, setup: &Setup, count: usize) {
    eventually(&format!("{count} members"), || {
        let (state, members) = group(daemon.broker(), &setup.name);
        (state == "Stable" && members == count).then_some(())
    });
}
