//! What the topics hold, held against what was sent.

use std::collections::BTreeMap;

use eventos_testkit::{read_topic, wait_until_settled};
use rdkafka::{Message, message::OwnedMessage};
use serde_json::Value;

use crate::{
    Guarantee,
    load::{Fate, Sent, Topics},
};

/// What must be nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Sent and acknowledged, but not in the topic of Eventos, or there without what should have come of it.
    pub lost: usize,
    /// There more than once where once is promised.
    pub doubled: usize,
    /// First came after one that was sent later to the same partition.
    pub out_of_order: usize,
    /// In a topic where it should not be.
    pub misplaced: usize,
}

#[derive(Debug, Default)]
pub struct Verdict {
    pub faults: Faults,
    /// What came out more than once.
    pub repeated: usize,
}

/// Which Evento: its partition and number.
type Id = (i32, u32);

pub fn judge(servers: &str, topics: &Topics, sent: &[Sent], guarantee: Guarantee) -> Verdict {
    let mut verdict = Verdict::default();
    let fates = [
        (&topics.eventos, None, Guarantee::ExactlyOnce),
        (&topics.out, Some(Fate::Emitted), guarantee),
        (&topics.dead_letters, Some(Fate::Dead), guarantee),
    ];
    for (topic, fate, guarantee) in fates {
        let expected = sent
            .iter()
            .filter(|sent| fate.is_none_or(|fate| sent.fate == fate));
        let expected = expected.map(|sent| (sent.partition, sent.number));
        wait_until_settled(servers, topic);
        compare(
            &read_topic(servers, topic),
            expected,
            guarantee,
            &mut verdict,
        );
    }
    verdict
}

fn compare(
    records: &[OwnedMessage],
    expected: impl Iterator<Item = Id>,
    guarantee: Guarantee,
    verdict: &mut Verdict,
) {
    let faults = &mut verdict.faults;
    let mut times: BTreeMap<Id, usize> = expected.map(|id| (id, 0)).collect();
    // The last number of each partition that first came out, for each partition that it came out to.
    let mut last = BTreeMap::new();
    for record in records {
        let id = id(record);
        let Some(seen) = times.get_mut(&id) else {
            faults.misplaced += 1;
            tell("misplaced", record);
            continue;
        };
        *seen += 1;
        if *seen == 1 {
            let place = (record.partition(), id.0);
            let before = last.insert(place, id.1).unwrap_or_default();
            if before > id.1 {
                faults.out_of_order += 1;
                tell("out of order", record);
                println!("    {before} of that partition came before it");
            }
        }
    }
    let topic = records.first().map_or("an empty topic", Message::topic);
    let lost: Vec<_> = times.iter().filter(|(_, times)| **times == 0).collect();
    if let Some((id, _)) = lost.first() {
        let (count, there) = (lost.len(), records.len());
        println!("    lost: {id:?} is the first of {count}; {there} are in {topic}");
    }
    faults.lost += lost.len();
    let repeated: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    match guarantee {
        Guarantee::ExactlyOnce => {
            if let Some((first, _)) = repeated.first() {
                println!(
                    "    doubled: {first:?} is the first of {} in {topic}",
                    repeated.len()
                );
                let all = records.iter().filter(|record| id(record) == **first);
                all.for_each(|record| tell("there", record));
            }
            faults.doubled += repeated.len();
        }
        Guarantee::AtLeastOnce => verdict.repeated += repeated.len(),
    }
}

fn tell(fault: &str, record: &OwnedMessage) {
    let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
    println!(
        "    {fault}: {:?} at {topic} {partition} {offset}",
        id(record)
    );
}

fn id(record: &OwnedMessage) -> Id {
    let evento: Value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
    let id = evento["id"].as_str().expect("a text");
    let (partition, number) = id.split_once('-').expect("partition-number");
    let number = number.parse().expect("a number");
    (partition.parse().expect("a number"), number)
}
