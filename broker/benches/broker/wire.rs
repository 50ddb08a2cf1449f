//! The part of the Kafka protocol that sends and fetches batches: Produce v7, the oldest version that takes zstd, and
//! Fetch v4, the oldest that Kafka 4 supports. Both name topics and have no compact lengths. The layouts are those of the
//! Kafka protocol guide.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use crate::target::{DEADLINE, Target};

const PRODUCE: (i16, i16) = (0, 7);
const FETCH: (i16, i16) = (1, 4);

/// The default of librdkafka.
const FETCH_WAIT_MS: i32 = 500;

/// The largest size of a response, and of one partition in it: the defaults of librdkafka.
const FETCH_MAX: i32 = 50 << 20;
const FETCH_MAX_PARTITION: i32 = 1 << 20;

/// Positions and lengths in a batch header.
const BATCH_PREFIX: usize = 12;
const BATCH_LENGTH: usize = 8;
const LAST_OFFSET_DELTA: usize = 23;
pub(crate) const BATCH_HEADER: usize = 61;
/// Position of the byte whose lowest bits are the codec, and of the first byte that the checksum covers.
const CODEC: usize = 22;
const CRC_START: usize = 21;

/// Returns a batch of records of the same size without keys.
pub(crate) fn batch(records: usize, bytes: usize) -> Vec<u8> {
    let value = vec![b'x'; bytes];
    batch_of(std::iter::repeat_n(&value[..], records))
}

/// Returns a batch of records with these values and without keys.
pub(crate) fn batch_of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let record = |(i, value): (usize, &[u8])| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: i as i64,
        sequence: NO_SEQUENCE + i as i32,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(value.to_vec().into()),
        headers: Default::default(),
    };
    let records: Vec<Record> = values.into_iter().enumerate().map(record).collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut batch = BytesMut::new();
    RecordBatchEncoder::encode(&mut batch, &records, &options).expect("encoded");
    batch.to_vec()
}

/// Returns the batch with its records compressed: these bytes in place of them, and their codec.
pub(crate) fn set_records(batch: &[u8], codec: u8, compressed: &[u8]) -> Vec<u8> {
    let mut out = [&batch[..BATCH_HEADER], compressed].concat();
    let length = (out.len() - BATCH_PREFIX) as i32;
    out[BATCH_LENGTH..BATCH_PREFIX].copy_from_slice(&length.to_be_bytes());
    out[CODEC] = codec;
    let crc = crc32c::crc32c(&out[CRC_START..]);
    out[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Returns a produce request with acks=all and one batch for one partition.
pub(crate) fn produce_request(topic: &str, partition: usize, batch: &[u8]) -> Vec<u8> {
    request(PRODUCE, |out| {
        out.put_i16(-1); // no transactional id
        out.put_i16(-1); // acks
        out.put_i32(DEADLINE.as_millis() as i32);
        out.put_i32(1);
        text(out, topic);
        out.put_i32(1);
        out.put_i32(partition as i32);
        out.put_i32(batch.len() as i32);
        out.put_slice(batch);
    })
}

/// Returns a fetch from each partition that has not reached `end`; `next` has the offsets.
pub(crate) fn fetch_request(topic: &str, next: &[i64], end: i64) -> Vec<u8> {
    let wanted: Vec<_> = next
        .iter()
        .enumerate()
        .filter(|(_, at)| **at < end)
        .collect();
    request(FETCH, |out| {
        out.put_i32(-1); // not a replica
        out.put_i32(FETCH_WAIT_MS);
        out.put_i32(1); // least bytes
        out.put_i32(FETCH_MAX);
        out.put_i8(0); // uncommitted too
        out.put_i32(1);
        text(out, topic);
        out.put_i32(wanted.len() as i32);
        for (partition, at) in wanted {
            out.put_i32(partition as i32);
            out.put_i64(*at);
            out.put_i32(FETCH_MAX_PARTITION);
        }
    })
}

fn request((key, version): (i16, i16), body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.put_i16(key);
    out.put_i16(version);
    out.put_i32(0); // answers come in order, so none needs a number
    text(&mut out, "bench");
    body(&mut out);
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

/// A connection, with a buffer for one response.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(target: &Target) -> Self {
        let stream = TcpStream::connect(&target.address).expect("connected");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        let answer = Vec::new();
        Self { stream, answer }
    }

    pub(crate) fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("sent");
    }

    /// Reads the next response, without its correlation id.
    fn receive(&mut self) -> &[u8] {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).expect("an answer");
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.answer).expect("all of it");
        &self.answer[4..]
    }

    /// Waits for the response to one produce request.
    pub(crate) fn acknowledged(&mut self) {
        let mut answer = self.receive();
        assert_eq!(answer.get_i32(), 1, "one topic");
        skip_text(&mut answer);
        assert_eq!(answer.get_i32(), 1, "one partition");
        let (partition, error) = (answer.get_i32(), answer.get_i16());
        assert_eq!(error, 0, "partition {partition} refuses");
    }

    /// Reads the response to a fetch and updates `next`; returns the number of records in it.
    pub(crate) fn fetched(&mut self, next: &mut [i64]) -> usize {
        let mut answer = self.receive();
        let mut records = 0;
        answer.advance(4); // throttled ms
        for _ in 0..answer.get_i32() {
            skip_text(&mut answer);
            for _ in 0..answer.get_i32() {
                let (partition, error) = (answer.get_i32(), answer.get_i16());
                assert_eq!(error, 0, "partition {partition} cannot be fetched");
                answer.advance(8 + 8); // high watermark, last stable offset
                let aborted = answer.get_i32().max(0) as usize;
                answer.advance(aborted * 16);
                let length = answer.get_i32().max(0) as usize;
                let (batches, rest) = answer.split_at(length);
                let at = &mut next[partition as usize];
                if let Some(after) = offset_after(batches) {
                    records += usize::try_from(after - *at).expect("it goes on");
                    *at = after;
                }
                answer = rest;
            }
        }
        records
    }
}

fn skip_text(answer: &mut &[u8]) {
    let length = answer.get_i16();
    answer.advance(length as usize);
}

/// Returns the offset after the last complete batch; a response of Kafka may end with an incomplete one.
fn offset_after(mut batches: &[u8]) -> Option<i64> {
    let mut after = None;
    while batches.len() >= BATCH_HEADER {
        let field = |mut at: &[u8]| at.get_i32();
        let size = BATCH_PREFIX + field(&batches[BATCH_LENGTH..]) as usize;
        if batches.len() < size {
            break;
        }
        let base = (&mut &*batches).get_i64();
        after = Some(base + i64::from(field(&batches[LAST_OFFSET_DELTA..])) + 1);
        batches = &batches[size..];
    }
    after
}
