//! Compares the records in the topics with the Eventos that were sent.

use std::{collections::BTreeMap, fmt};

use eventos_testkit::{read_topic, wait_until_settled};
use rdkafka::{Message, message::OwnedMessage};
use serde_json::Value;

use crate::{
    Guarantee,
    load::{ALL_FATES, Fate, Names, Sent},
};

/// Numbers of violations of the guarantee. All must be 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Violations {
    /// Acknowledged Eventos that are missing in the topic of Eventos, or whose emitted record or dead letter is missing.
    pub lost: usize,
    /// Records that are there more than once although the guarantee excludes it.
    pub duplicated: usize,
    /// Records that came only after a record of an Evento that was sent later to the same partition.
    pub out_of_order: usize,
    /// Records in a topic in which they should not be.
    pub misplaced: usize,
}

/// Result of the comparison.
#[derive(Debug, Default)]
pub(crate) struct CheckResult {
    pub violations: Violations,
    /// Records that are there more than once, which at least once permits.
    pub repeated: usize,
}

/// Partition and number of an Evento.
type EventoId = (i32, u32);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lost, {} duplicated, {} out of order, {} misplaced",
            self.lost, self.duplicated, self.out_of_order, self.misplaced
        )
    }
}

/// Reads all topics and compares them with what was sent. The topic of Eventos has only those of the last round, which begin at this index:
/// it was deleted and created again.
pub(crate) fn check(
    servers: &str,
    names: &Names,
    sent: &[Sent],
    of_last_round: usize,
    guarantee: Guarantee,
) -> CheckResult {
    let mut result = CheckResult::default();
    // The producer of the load is idempotent, so the topic of Eventos has each of them exactly once.
    let topics = [
        (
            &names.eventos,
            of_last_round,
            &ALL_FATES[..],
            Guarantee::ExactlyOnce,
        ),
        (&names.emitted, 0, &[Fate::Emitted], guarantee),
        (&names.output, 0, &[Fate::Emitted, Fate::Passed], guarantee),
        (
            &names.dead_letters,
            0,
            &[Fate::DeadLettered, Fate::Rejected],
            guarantee,
        ),
    ];
    for (topic, first, fates, guarantee) in topics {
        let expected = sent[first..]
            .iter()
            .filter(|sent| fates.contains(&sent.fate))
            .map(|sent| (sent.partition, sent.number));
        wait_until_settled(servers, topic);
        let records = read_topic(servers, topic);
        check_topic(&records, expected, guarantee, &mut result);
    }
    result
}

fn check_topic(
    records: &[OwnedMessage],
    expected: impl Iterator<Item = EventoId>,
    guarantee: Guarantee,
    result: &mut CheckResult,
) {
    let violations = &mut result.violations;
    let mut counts: BTreeMap<EventoId, usize> = expected.map(|id| (id, 0)).collect();
    // For each pair of target and source partition, the number of the last Evento that came for the first time.
    let mut last = BTreeMap::new();
    for record in records {
        let id = evento_id(record);
        let Some(count) = counts.get_mut(&id) else {
            violations.misplaced += 1;
            report("misplaced", record);
            continue;
        };
        *count += 1;
        // A dead letter without a key that is repeated may go to another partition, where it follows later ones.
        if *count == 1 && record.key().is_some() {
            let before = last.insert((record.partition(), id.0), id.1);
            let before = before.unwrap_or_default();
            if before > id.1 {
                violations.out_of_order += 1;
                report("out of order", record);
                println!("    number {before} of the same partition is before it");
            }
        }
    }
    let topic = records.first().map_or("an empty topic", Message::topic);
    let lost: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).collect();
    if let Some((first, _)) = lost.first() {
        let (lost, there) = (lost.len(), records.len());
        println!("    lost in {topic}: {lost} Eventos, {first:?} first; {there} records are there");
    }
    violations.lost += lost.len();
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    match guarantee {
        Guarantee::ExactlyOnce => {
            if let Some((first, _)) = repeated.first() {
                let count = repeated.len();
                println!("    duplicated in {topic}: {count} Eventos, {first:?} first");
                let copies = records.iter().filter(|record| evento_id(record) == **first);
                copies.for_each(|record| report("copy", record));
            }
            violations.duplicated += repeated.len();
        }
        Guarantee::AtLeastOnce => result.repeated += repeated.len(),
    }
}

fn report(what: &str, record: &OwnedMessage) {
    let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
    let id = evento_id(record);
    println!("    {what}: Evento {id:?} at {topic}:{partition}:{offset}");
}

fn evento_id(record: &OwnedMessage) -> EventoId {
    let evento: Value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
    let id = evento["id"].as_str().expect("a text");
    let (partition, number) = id.split_once('-').expect("partition-number");
    let number = number.parse().expect("a number");
    (partition.parse().expect("a number"), number)
}
