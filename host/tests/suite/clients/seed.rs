//! The two programs of the prototype. The daemon replaces them, and also has to work together with them.

use eventos_testkit::{
    Broker, Daemon, Program, Setup, blocking_client, describe_group, eventually, python,
    wait_until_committed,
};
use serde_json::{Value, json};

use super::{keys, members, send_with_key, set};
use crate::EVENTOS;

/// Topic that both programs use.
const TOPIC: &str = "eventos";

/// Starts a daemon with the built-in broker on that topic. It uses the assignor of the prototype, so that both can be in one group.
fn daemon() -> (Setup, Daemon) {
    let config = "[kafka.properties]\n\"partition.assignment.strategy\" = \"roundrobin\"\n";
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], config);
    setup.set_env("EVENTOS__KAFKA__TOPIC", TOPIC);
    let daemon = setup.start();
    (setup, daemon)
}

/// One of the two programs.
struct Prototype {
    program: Program,
    /// URL of its HTTP server.
    http: String,
    client: reqwest::blocking::Client,
}

impl Prototype {
    /// Starts one on the daemon's broker. If `group` is empty, it uses its default group.
    fn start(name: &str, daemon: &Daemon, group: &str) -> Self {
        let mut run = python("seed/run.py");
        let program = Program::start(run.args([name, daemon.broker(), group, "0"]), "");
        let http = program.wait_for_word_after("Uvicorn running on ");
        let client = blocking_client(None, None, None);
        Self {
            program,
            http,
            client,
        }
    }

    fn send(&self, evento: &Value) -> Value {
        let request = self.client.post(format!("{}/send", self.http));
        let answer = request.json(evento).send().expect("an answer");
        assert_eq!(answer.status(), 200, "{}", self.program.stderr());
        answer.json().expect("JSON")
    }

    fn messages(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/messages", self.http)).send();
        answer.expect("an answer").json().expect("JSON")
    }
}

#[test]
fn what_their_producer_sends_is_in_our_messages() {
    let (_setup, daemon) = daemon();
    let producer = Prototype::start("producer", &daemon, "");
    for i in 0..20 {
        let evento = json!({"id": format!("p-{i}"), "tipo": "sismo"});
        // The answer of our `/send` has the same members, and more.
        let expected = json!({"status": "message sent", "evento": evento});
        assert_eq!(producer.send(&evento), expected);
        // The records have no key. They are sent one at a time, so the order in `/messages` is that of sending.
        assert_eq!(daemon.wait_for_messages(i + 1)[i], evento);
    }
}

#[test]
fn what_our_send_takes_is_in_their_consumers_messages() {
    let (setup, daemon) = daemon();
    // One Evento is sent before the consumer starts and one after. It begins with the earliest.
    daemon.send(r#"{"id":"early","tipo":"sismo"}"#);
    let consumer = Prototype::start("consumer", &daemon, "a-group-of-its-own");
    daemon.send(r#"{"id":"late","tipo":"sismo","magnitud":7.10}"#);
    let seen = eventually("both Eventos in their /messages", || {
        let seen = consumer.messages();
        (seen.len() >= 2).then_some(seen)
    });
    // The model of the prototype has two members, and ignores the others.
    assert_eq!(members("id", &seen), ["early", "late"]);
    assert_eq!(members("tipo", &seen), ["sismo", "sismo"]);
    assert_eq!(daemon.wait_for_messages(2)[1]["magnitud"], json!(7.1));
    // The other group has no effect on ours.
    wait_until_committed(daemon.broker(), "a-group-of-its-own", TOPIC);
    wait_until_committed(daemon.broker(), &setup.name, TOPIC);
}

/// In one group, the daemon and the consumer of the prototype share the partitions, as two daemons do.
#[test]
fn their_consumer_in_our_group_takes_its_share_and_gives_it_back() {
    let (setup, daemon) = daemon();
    let consumer = Prototype::start("consumer", &daemon, &setup.name);
    wait_for_members(&daemon, &setup, 2);

    let keys = keys(60);
    let partitions = keys.iter().map(|key| send_with_key(&daemon, key));
    assert_eq!(set(partitions.map(|p| p.to_string())).len(), 4);
    let (ours, theirs) = eventually("every Evento to be in one of the two", || {
        let ours = serde_json::from_str(&daemon.messages("")).expect("JSON");
        let (ours, theirs): (Vec<Value>, _) = (ours, consumer.messages());
        (ours.len() + theirs.len() >= keys.len())
            .then(|| (members("id", &ours), members("id", &theirs)))
    });
    assert!(
        !ours.is_empty() && !theirs.is_empty(),
        "{ours:?} {theirs:?}"
    );
    let both: Vec<_> = ours.iter().chain(&theirs).cloned().collect();
    assert_eq!(both.len(), keys.len(), "no Evento is in both");
    assert_eq!(set(both), set(keys.clone()));

    // The consumer commits every 5 seconds, and what it has not committed would be handled again. It does not leave the group when it
    // ends, so the group waits for it for 10 seconds.
    wait_until_committed(daemon.broker(), &setup.name, TOPIC);
    consumer.program.terminate();
    wait_for_members(&daemon, &setup, 1);
    for key in &keys {
        send_with_key(&daemon, key);
    }
    // The daemon gets the partitions of the consumer, and restores the Eventos in them.
    let stored = daemon.wait_for_messages(2 * keys.len());
    assert_eq!(set(members("id", &stored)), set(keys));
}

/// Waits until the group is stable with this number of members.
fn wait_for_members(daemon: &Daemon, setup: &Setup, count: usize) {
    eventually(&format!("{count} members"), || {
        let (state, members) = describe_group(daemon.broker(), &setup.name);
        (state == "Stable" && members == count).then_some(())
    });
}
