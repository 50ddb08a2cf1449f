//! An idempotent producer that sends the numbers from 0 on, and notes where each was stored.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use eventos_testkit::wait::pause;
use rdkafka::{
    ClientContext,
    message::Message,
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

use super::{Faults, PARTITIONS, PATIENCE, Run};
use crate::embedded::support::*;

pub(super) const TOPIC: &str = "numbers";

/// A number and where it is, in the order of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    partition: i32,
    offset: i64,
    number: u64,
}

impl Place {
    fn of(message: &impl Message) -> Place {
        let number = message.payload().and_then(|p| p.try_into().ok()).unwrap();
        Place {
            partition: message.partition(),
            offset: message.offset(),
            number: u64::from_be_bytes(number),
        }
    }
}

/// Collects the acknowledgements.
struct Notes {
    count: Arc<AtomicUsize>,
    places: Mutex<Vec<Place>>,
}

impl ClientContext for Notes {}

impl ProducerContext for Notes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // A number that was given up is missing in the end.
        match result {
            Ok(message) => {
                self.places.lock().unwrap().push(Place::of(message));
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => eprintln!("a number is given up: {error}"),
        }
    }
}

/// Sends numbers until the run stops, with one producer that survives every kill; returns all, each acknowledged.
pub(super) fn load(run: &Run) -> Vec<Place> {
    let notes = Notes {
        count: Arc::clone(&run.numbers),
        places: Mutex::default(),
    };
    let producer: ThreadedProducer<Notes> = client(run.address)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .create_with_context(notes)
        .unwrap();
    let mut sent = 0u64;
    while run.goes_on() {
        for _ in 0..10 {
            let payload = sent.to_be_bytes();
            let record = BaseRecord::<(), [u8]>::to(TOPIC)
                .partition((sent % PARTITIONS as u64) as i32)
                .payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            sent += 1;
        }
        // This pause sets the pace: it leaves time to the other loads, and limits the backlog that is sent after a
        // kill.
        loop {
            pause(Duration::from_millis(1));
            if producer.in_flight_count() < 1_000 || !run.goes_on() {
                break;
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
    let places = std::mem::take(&mut *producer.context().places.lock().unwrap());
    assert_eq!(places.len() as u64, sent, "not all was acknowledged");
    places
}

pub(super) fn judge(run: &Run, acknowledged: &[Place], faults: &mut Faults) {
    let mut stored = Vec::new();
    read_to_the_end(run.address, TOPIC, |message| {
        stored.push(Place::of(message))
    });
    stored.sort_unstable();
    let is_there = |place: &&Place| stored.binary_search(place).is_ok();
    faults.lost += acknowledged.len() - acknowledged.iter().filter(is_there).count();
    let pairs = stored
        .windows(2)
        .filter(|two| two[0].partition == two[1].partition);
    faults.out_of_order += pairs.filter(|two| two[0].number > two[1].number).count();
    let mut numbers: Vec<u64> = stored.iter().map(|place| place.number).collect();
    numbers.sort_unstable();
    faults.doubled += numbers.windows(2).filter(|two| two[0] == two[1]).count();
}
