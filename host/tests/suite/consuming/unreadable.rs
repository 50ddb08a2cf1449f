//! Batches that the broker delivers and that cannot be read: they hold up their partition for less than two minutes, and
//! become dead letters with their place. Brokers refuse such batches, so the test writes them into the log of a stopped one.

use std::{fs, io::Write as _, ops::Range};

use eventos_testkit::eventually_every;

use super::*;

const GZIP: i16 = 1;
const ZSTD: i16 = 4;

/// How often a slow condition is looked at.
const INTERVAL: std::time::Duration = std::time::Duration::from_millis(250);

/// A batch as it lies in the log of a broker.
struct StoredBatch {
    offsets: Range<i64>,
    codec: i16,
    records: Vec<u8>,
}

impl StoredBatch {
    fn encode(&self) -> Vec<u8> {
        let count = i32::try_from(self.offsets.end - self.offsets.start).expect("small");
        let time = 1_700_000_000_000_i64.to_be_bytes();
        let producer = [0xff; 14];
        let mut checked = self.codec.to_be_bytes().to_vec();
        checked.extend((count - 1).to_be_bytes());
        checked.extend(time.iter().chain(&time).chain(&producer));
        checked.extend(count.to_be_bytes());
        checked.extend(&self.records);
        let checksum = crc32c(&checked);
        let mut batch = self.offsets.start.to_be_bytes().to_vec();
        let length = i32::try_from(checked.len() + 9).expect("small");
        batch.extend(length.to_be_bytes());
        batch.extend([0, 0, 0, 0, 2]);
        batch.extend(checksum.to_be_bytes());
        batch.extend(checked);
        batch
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(!0, byte)
}

/// A batch that cannot be read at these offsets.
fn unreadable(offsets: Range<i64>, codec: i16, records: Vec<u8>) -> StoredBatch {
    StoredBatch {
        offsets,
        codec,
        records,
    }
}

/// A batch with one Evento per offset.
fn readable(partition: usize, offsets: Range<i64>) -> StoredBatch {
    let mut records = Vec::new();
    for (delta, offset) in (0u8..).zip(offsets.clone()) {
        let evento = format!(r#"{{"id":"{partition}-{offset}","tipo":"t"}}"#);
        // Attributes, a time delta of 0, the offset delta, no key, the value, no headers; numbers are zigzag-encoded.
        let mut record = vec![0, 0, 2 * delta, 1];
        record.push(u8::try_from(2 * evento.len()).expect("short"));
        record.extend(evento.as_bytes());
        record.push(0);
        records.push(u8::try_from(2 * record.len()).expect("short"));
        records.extend(record);
    }
    StoredBatch {
        offsets,
        codec: 0,
        records,
    }
}

/// A frame of Zstandard of 6 kB that inflates to 200 MB of zeroes.
fn zstd_bomb() -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let blocks = 1_600_u32;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend(u64::from(BLOCK * blocks).to_le_bytes());
    for block in 1..=blocks {
        // One byte, which is repeated.
        let header = u32::from(block == blocks) | (1 << 1) | (BLOCK << 3);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

fn ids_of(partition: usize, offsets: Range<i64>) -> impl Iterator<Item = String> {
    offsets.map(move |offset| format!("{partition}-{offset}"))
}

#[test]
fn batches_that_cannot_be_read_are_passed_and_recorded() {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    for partition in 0..PARTITIONS {
        let ids = ids_of(usize::try_from(partition).expect("small"), 0..3);
        produce_to(&setup, daemon.broker(), partition, ids);
    }
    daemon.wait_for_messages(12);
    setup.wait_until_committed(&daemon);
    assert!(daemon.stop().success());

    let mut expected = append_batches(&setup);
    let places = [3..13, 3..6, 3..40, 5..8];
    let daemon = setup.start_listening();
    let pending = eventually_every(INTERVAL, "a stalled partition to be reported", || {
        let answer = daemon.get("/readyz");
        answer.text.contains("fetching").then_some(answer)
    });
    pending.assert_status(503);
    wait_until_stored(&daemon, &expected);
    eventually_every(INTERVAL, "the daemon to be ready again", || {
        (daemon.get("/readyz").status == 200).then_some(())
    });
    assert!(daemon.metric_sum("eventos_fetch_stalls_total") >= 3.0);
    setup.wait_until_committed(&daemon);
    check_letters(&setup, &daemon, &places);
    daemon.kill();

    // The view is restored over the same batches, which makes no other letters.
    let daemon = setup.start_listening();
    wait_until_stored(&daemon, &expected);
    for partition in 0..PARTITIONS {
        produce_to(
            &setup,
            daemon.broker(),
            partition,
            [format!("new-{partition}")],
        );
        expected.push(format!("new-{partition}"));
    }
    expected.sort();
    wait_until_stored(&daemon, &expected);
    check_letters(&setup, &daemon, &places);
}

/// Appends a batch that cannot be read to the log of each partition, and one that can be read behind it. Returns the ids of
/// all Eventos that can be read.
fn append_batches(setup: &Setup) -> Vec<String> {
    let garbage = || b"this is no record at all, whatever the header says".repeat(3);
    // The first two records of the last one can be read.
    let partly = [readable(3, 3..5).records, garbage()].concat();
    let lost = [
        unreadable(3..13, GZIP, garbage()),
        unreadable(3..6, 0, garbage()),
        unreadable(3..40, ZSTD, zstd_bomb()),
        unreadable(3..8, 0, partly),
    ];
    let mut expected: Vec<_> = (0..4)
        .flat_map(|partition| ids_of(partition, 0..3))
        .collect();
    for (partition, batch) in lost.iter().enumerate() {
        let next = batch.offsets.end;
        let behind = next..next + 2;
        let log = format!("broker/logs/{}-{partition}/{:020}.log", setup.topic(), 0);
        let log = fs::OpenOptions::new()
            .append(true)
            .open(setup.dir.path().join(log));
        let mut log = log.expect("the log exists");
        for batch in [batch, &readable(partition, behind.clone())] {
            log.write_all(&batch.encode()).expect("it is written");
        }
        expected.extend(ids_of(partition, behind));
    }
    expected.extend(ids_of(3, 3..5));
    expected.sort();
    expected
}

fn wait_until_stored(daemon: &Daemon, expected: &[String]) {
    eventually_every(INTERVAL, "all Eventos that can be read", || {
        let messages = daemon.messages("?limit=1000");
        let messages: Vec<Value> = serde_json::from_str(&messages).expect("JSON");
        let id = |evento: &Value| evento["id"].as_str().expect("a text").to_owned();
        let mut stored: Vec<_> = messages.iter().map(id).collect();
        stored.sort();
        (stored == expected).then_some(())
    });
}

fn check_letters(setup: &Setup, daemon: &Daemon, places: &[Range<i64>]) {
    let letters = setup.read_dead_letters(daemon);
    assert_eq!(letters.len(), places.len());
    for (partition, (letter, place)) in letters.iter().zip(places).enumerate() {
        let Range { start, end } = place;
        assert_eq!(
            letter.header("__connect.errors.partition"),
            partition.to_string()
        );
        assert_eq!(letter.header("__connect.errors.offset"), start.to_string());
        let class = letter.header("__connect.errors.exception.class.name");
        assert_eq!(class, "eventos.UnreadableBatch");
        let message = letter.header("__connect.errors.exception.message");
        let place = format!("the offsets {start} to {} of ", end - 1);
        assert!(message.starts_with(&place), "{message}");
    }
}
