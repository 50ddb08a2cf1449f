//! Rules that types cannot express: those of each table, and those that span tables.

use std::net::SocketAddr;

use super::{Config, key::Key, merge::Sources};

/// Returns every rule that `config` breaks: the key, and what was expected.
pub(super) fn broken(config: &Config, sources: &Sources) -> Vec<(Key, String)> {
    let mut broken = Vec::new();
    let tables = [
        ("kafka", config.kafka.problems()),
        ("embedded", config.embedded.problems()),
        ("handlers", config.handlers.problems()),
        ("evento", config.evento.problems()),
        ("delivery", config.delivery.problems()),
        ("store", config.store.problems()),
        ("http", config.http.problems()),
        ("peers", config.peers.problems()),
        ("telemetry", config.telemetry.problems()),
    ];
    for (table, problems) in tables {
        broken.extend(within(&Key::from_iter([table]), problems));
    }
    for (name, handler) in &config.handler {
        let table = Key::from_iter(["handler", name]);
        broken.extend(within(&table, handler.problems()));
    }
    broken.extend(topics(config, sources));
    broken.extend(addresses(config, sources));
    broken
}

fn within(table: &Key, problems: Vec<(String, String)>) -> impl Iterator<Item = (Key, String)> {
    let absolute = |(key, why): (String, String)| (table.join(&Key::parse(&key)), why);
    problems.into_iter().map(absolute)
}

fn topics(config: &Config, sources: &Sources) -> Vec<(Key, String)> {
    let topic = Key::from_iter(["kafka", "topic"]);
    let dead = Key::from_iter(["delivery", "dead_letter_topic"]);
    let mut topics = vec![
        (topic.clone(), &config.kafka.topic),
        (dead.clone(), &config.delivery.dead_letter_topic),
    ];
    let output = Key::from_iter(["output", "topic"]);
    if config.output.topic().is_some() {
        topics.push((output.clone(), &config.output.topic));
    }
    for (name, handler) in &config.handler {
        let list = Key::from_iter(["handler", name, "produce"]);
        let items = handler.produce.iter().enumerate();
        topics.extend(items.map(|(i, topic)| (list.index(i), topic)));
    }
    let bad = |(key, topic): (Key, &String)| Some((key, topic_fault(topic)?.to_owned()));
    let mut broken: Vec<_> = topics.into_iter().filter_map(bad).collect();
    let consumed = &config.kafka.topic;
    let letters = &config.delivery.dead_letter_topic;
    let left = config.output.topic();
    let mut apart = |same: bool, key: Key, other: Key, why: &str| {
        if same {
            let (key, other) = if sources.sets(&key) {
                (key, other)
            } else {
                (other, key)
            };
            broken.push((key, format!("expected another topic than {other}: {why}")));
        }
    };
    let why = "dead letters would be consumed again";
    apart(consumed == letters, dead.clone(), topic.clone(), why);
    let why = "records that leave the chain would be consumed again";
    apart(left == Some(consumed), output.clone(), topic, why);
    let why = "records that leave the chain are not dead letters";
    apart(left == Some(letters), output, dead, why);
    broken
}

/// Checks Kafka's rule for topic names (`org.apache.kafka.common.internals.Topic`).
fn topic_fault(topic: &str) -> Option<&'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match topic {
        "" => Some("expected the name of a topic"),
        "." | ".." => Some("expected a name that is not only dots"),
        _ if topic.len() > 249 => Some("expected at most 249 characters"),
        _ if !topic.chars().all(legal) => Some("expected only a-z, A-Z, 0-9, '.', '_' and '-'"),
        _ => None,
    }
}

fn addresses(config: &Config, sources: &Sources) -> Option<(Key, String)> {
    let overlap = |a: SocketAddr, b: SocketAddr| {
        let any = a.ip().is_unspecified() || b.ip().is_unspecified();
        a.port() != 0 && a.port() == b.port() && (any || a.ip() == b.ip())
    };
    let http = Key::from_iter(["http", "listen"]);
    let broker = Key::from_iter(["embedded", "listen"]);
    if !config.kafka.is_embedded() || !overlap(config.http.listen, config.embedded.listen) {
        return None;
    }
    let (key, other) = if sources.sets(&http) {
        (http, broker)
    } else {
        (broker, http)
    };
    Some((key, format!("expected another address than {other}")))
}
