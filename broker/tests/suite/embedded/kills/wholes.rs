//! Transactions: each sends messages to every partition and commits an offset. One in four is aborted on purpose.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::Ordering,
    time::Duration,
};

use eventos_testkit::committed_offsets;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Message,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use super::{Faults, PARTITIONS, Run};
use crate::embedded::support::*;

pub(super) const TOPIC: &str = "wholes";
const GROUP: &str = "wholes";
const STEP: Duration = Duration::from_secs(10);

/// Its thread handles delivery reports, without which a transaction cannot be aborted.
type Transactional = ThreadedProducer<DefaultProducerContext>;

/// How a transaction ended, as far as the broker has confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Committed,
    Aborted,
    /// With an error, so the outcome is unknown.
    Unknown,
}

/// Runs transactions until the run stops; returns the end of each. None is left open.
pub(super) fn load(run: &Run) -> Vec<End> {
    let mut ends = Vec::new();
    while run.goes_on() {
        if let Err(error) = until_error(run, &mut ends) {
            eprintln!("transactions begin anew: {error}");
        }
    }
    drop(producer(run.address).expect("the broker is there now"));
    ends
}

/// Returns a producer that has fenced its predecessor and ended its transaction.
fn producer(address: SocketAddr) -> Result<Transactional, KafkaError> {
    let producer: Transactional = client(address).set("transactional.id", "mover").create()?;
    producer.init_transactions(STEP)?;
    Ok(producer)
}

fn until_error(run: &Run, ends: &mut Vec<End>) -> Result<(), KafkaError> {
    let producer = producer(run.address)?;
    // Only for its group metadata: it does not join the group.
    let group: BaseConsumer = client(run.address).set("group.id", GROUP).create()?;
    while run.goes_on() {
        let number = ends.len();
        ends.push(End::Unknown);
        producer.begin_transaction()?;
        for part in 0..size(number) {
            let payload = [number as u64, part].map(u64::to_be_bytes).concat();
            let record = BaseRecord::<(), _>::to(TOPIC)
                .partition((part % PARTITIONS as u64) as i32)
                .payload(&payload);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        let mut next = TopicPartitionList::new();
        next.add_partition_offset(TOPIC, 0, Offset::Offset(number as i64 + 1))?;
        let metadata = group.group_metadata().ok_or(KafkaError::Canceled)?;
        producer.send_offsets_to_transaction(&next, &metadata, STEP)?;
        ends[number] = if number % 4 == 3 {
            producer.abort_transaction(STEP)?;
            End::Aborted
        } else {
            producer.commit_transaction(STEP)?;
            End::Committed
        };
        run.transactions.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Returns the number of messages of a transaction: one to three for each partition.
fn size(number: usize) -> u64 {
    PARTITIONS as u64 * (1 + number as u64 % 3)
}

/// Returns how many transactions ended how.
pub(super) fn summary(ends: &[End]) -> String {
    let [committed, aborted, unknown] = [End::Committed, End::Aborted, End::Unknown]
        .map(|wanted| ends.iter().filter(|end| **end == wanted).count());
    format!("{committed} transactions committed, {aborted} aborted, {unknown} ended by kills")
}

pub(super) fn judge(run: &Run, ends: &[End], faults: &mut Faults) {
    let mut seen: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    read_to_the_end(run.address, TOPIC, |message| {
        let (number, part) = message.payload().unwrap().split_at(8);
        let [number, part] = [number, part].map(|b| u64::from_be_bytes(b.try_into().unwrap()));
        let is_new = seen.entry(number as usize).or_default().insert(part);
        faults.doubled += usize::from(!is_new);
    });
    for (number, end) in ends.iter().enumerate() {
        let parts = seen.get(&number).map_or(0, BTreeSet::len) as u64;
        let whole = parts == size(number);
        match end {
            End::Committed if parts == 0 => faults.lost += 1,
            End::Committed | End::Unknown if whole => {}
            End::Aborted | End::Unknown if parts == 0 => {}
            _ => faults.half_visible += 1,
        }
    }
    // The committed offset must be that of the newest visible transaction.
    let newest = seen.keys().last().map_or(0, |number| *number as i64 + 1);
    let servers = run.address.to_string();
    let now = committed_offsets(&servers, GROUP, TOPIC)[0];
    faults.behind += usize::from(now < newest);
    faults.half_visible += usize::from(now > newest);
    faults.left_open += open_partitions(run.address);
}

/// Returns the number of partitions whose last stable offset is not their end.
fn open_partitions(address: SocketAddr) -> usize {
    let ends = |isolation: &str| {
        let consumer: BaseConsumer = client(address)
            .set("isolation.level", isolation)
            .create()
            .unwrap();
        let end = |partition| {
            consumer
                .fetch_watermarks(TOPIC, partition, DEADLINE)
                .unwrap()
                .1
        };
        (0..PARTITIONS).map(end).collect::<Vec<i64>>()
    };
    let (stable, all) = (ends("read_committed"), ends("read_uncommitted"));
    stable
        .iter()
        .zip(&all)
        .filter(|(stable, all)| stable != all)
        .count()
}
