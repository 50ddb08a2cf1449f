//! `[output]`: the records that leave the handler chain of one daemon go to a topic that another daemon consumes.

use eventos_testkit::{
    Broker, Daemon, ReceivedRecord, Setup, create_topic, create_topic_with, header_list, headers,
    produce, read_topic,
};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::EVENTOS;

const PARTITIONS: i32 = 4;
const TIMESTAMP: i64 = 1_700_000_000_000;
const HEADERS: [(&str, Option<&[u8]>); 3] = [("a", Some(b"1")), ("none", None), ("a", Some(b""))];

/// A daemon with the handler `probe`, and a second one with `store` that consumes the output of the first.
struct Composed {
    upstream: Daemon,
    first: Setup,
    downstream: Daemon,
    second: Setup,
}

impl Composed {
    /// Starts both. If they use the built-in broker, it is that of the second. The topic between the two has this number of
    /// partitions and these settings.
    fn new(broker: Broker, partitions: i32, settings: &[(&str, &str)]) -> Self {
        let second = Setup::new(EVENTOS, broker, &["store"], "");
        let config = format!("[output]\ntopic = {:?}\n", second.topic());
        let mut first = Setup::new(EVENTOS, broker, &["probe"], &config);
        if broker == Broker::Kafka {
            create_topic_with(&broker.servers(), &second.topic(), partitions, settings);
        }
        let downstream = second.start();
        first.servers = downstream.broker().to_owned();
        create_topic(downstream.broker(), &first.topic(), PARTITIONS);
        let upstream = first.start();
        Self {
            upstream,
            first,
            downstream,
            second,
        }
    }

    /// Reads the topic between the two, in the order of partition and offset.
    fn between(&self) -> Vec<ReceivedRecord> {
        let records = read_topic(self.downstream.broker(), &self.second.topic());
        records.into_iter().map(ReceivedRecord::from).collect()
    }
}

#[test]
fn daemons_compose_with_the_broker_inside() {
    daemons_compose(Broker::Embedded);
}

#[test]
fn daemons_compose_with_kafka() {
    daemons_compose(Broker::Kafka);
}

/// Records with a key and headers, a tombstone and one that is not a valid Evento in one partition; records without a
/// key in another.
fn records_of<'a>(
    topic: &'a str,
    keyed: &'a [String],
    bare: &'a [String],
) -> Vec<BaseRecord<'a, [u8], [u8]>> {
    let record = |partition| BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
    let whole = (TIMESTAMP..).zip(keyed).map(|(at, evento)| {
        let whole = record(0).key(b"k").headers(headers(&HEADERS)).timestamp(at);
        whole.payload(evento.as_bytes())
    });
    let mut records: Vec<_> = whole.collect();
    let keyed = |after| record(0).key(b"k").timestamp(TIMESTAMP + after);
    records.push(keyed(6));
    records.push(keyed(7).payload(b"no Evento"));
    records.extend(bare.iter().map(|evento| {
        let bare = record(2).timestamp(TIMESTAMP + 8);
        bare.payload(evento.as_bytes())
    }));
    records
}

fn daemons_compose(broker: Broker) {
    let composed = Composed::new(broker, PARTITIONS, &[]);
    let topic = composed.first.topic();
    let evento = |id: &str, tipo: &str| format!(r#"{{"id":"{id}","tipo":"{tipo}","n":1.10}}"#);
    // These records have a key, headers and a timestamp.
    let tipos = ["good", "drop", "reject", "replace", "echo", "store"];
    let keyed: Vec<_> = tipos.iter().map(|tipo| evento(tipo, tipo)).collect();
    let bare: Vec<_> = (0..20).map(|i| evento(&format!("n{i}"), "good")).collect();
    let records = records_of(&topic, &keyed, &bare);
    produce(composed.upstream.broker(), records);
    composed.upstream.wait_for_consumed(28);

    // The key chooses the same partition as with any other producer, such as the second daemon's.
    let last = evento("last", "good");
    let sent = composed
        .downstream
        .post_body("/send?key=k", "application/json", last)
        .json();
    let between = composed.between();
    let (with_key, without): (Vec<_>, Vec<_>) = between.iter().partition(|one| one.key.is_some());
    assert!(
        with_key
            .iter()
            .all(|one| sent["partition"] == one.partition),
        "{with_key:?}"
    );
    let ids = with_key.iter().map(|one| match &one.value {
        None => "tombstone".to_owned(),
        Some(_) => {
            let evento: Value = serde_json::from_str(one.text()).expect("JSON");
            evento["id"].as_str().expect("a text").to_owned()
        }
    });
    let expected = [
        "good",
        "part-1",
        "part-2",
        "echo",
        "store",
        "tombstone",
        "last",
    ];
    assert_eq!(ids.collect::<Vec<_>>(), expected);
    let good = with_key[0];
    assert_eq!((good.text(), good.timestamp), (&*keyed[0], Some(TIMESTAMP)));
    assert_eq!(good.headers, header_list(&HEADERS));
    // A replacement has its own headers.
    assert_eq!(with_key[2].header("part"), "2");
    // Records without a key stay in their partition, in their order.
    assert!(without.iter().all(|one| one.partition == 2), "{without:?}");
    assert!(
        without.iter().map(|one| one.text()).eq(&bare),
        "{without:?}"
    );
    assert_eq!(
        composed.first.read_dead_letters(&composed.upstream).len(),
        2
    );

    // The second daemon stores them.
    let stored = composed
        .downstream
        .wait_for_messages(4 + 1 + bare.len() + 1);
    assert_eq!(stored[0]["id"], "good");
}

#[test]
fn what_the_output_topic_refuses_is_dead_lettered_with_its_source() {
    let settings = [("max.message.bytes", "1000")];
    let composed = Composed::new(Broker::Kafka, 1, &settings);
    let topic = composed.first.topic();
    let large = format!(
        r#"{{"id":"large","tipo":"good","text":"{}"}}"#,
        "x".repeat(2_000)
    );
    let eventos = [
        r#"{"id":"a","tipo":"good"}"#,
        &large,
        r#"{"id":"b","tipo":"good"}"#,
    ];
    let records = eventos.iter().map(|evento| {
        BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(3)
            .payload(evento.as_bytes())
    });
    produce(composed.upstream.broker(), records);
    composed.upstream.wait_for_consumed(3);
    // The output topic has fewer partitions, so the partition is the number modulo theirs.
    let between = composed.between();
    let texts: Vec<_> = between.iter().map(ReceivedRecord::text).collect();
    assert_eq!(texts, [eventos[0], eventos[2]]);
    let [letter] = <[_; 1]>::try_from(composed.first.read_dead_letters(&composed.upstream))
        .expect("one dead letter");
    assert_eq!(letter.text(), large);
    assert_eq!(letter.header("__connect.errors.stage"), "output");
    let class = letter.header("__connect.errors.exception.class.name");
    assert_eq!(class, "eventos.OutputTopic");
    let message = letter.header("__connect.errors.exception.message");
    let topic = composed.second.topic();
    let said = format!("cannot produce a record to the topic {topic}: ");
    assert!(message.starts_with(&said), "{message}");
    assert_eq!(letter.offset_of_source(), 1);
}
