//! Batches that take far more memory when they are decompressed than they had on the wire.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    thread,
};

use bytes::Bytes;
use eventos_testkit::raw::{Raw, Verdict, verdict};
use kafka_protocol::error::ResponseError;

use super::{child::ChildBroker, support::create_topic};
use crate::crafted::{Crafted, GZIP, LZ4, SNAPPY, ZSTD, compress, varint};

const MIB: usize = 1 << 20;
/// The number of zeros in a compressed stream of which several follow each other.
const STREAM: usize = 16 * MIB;
/// The number of clients that send a batch at the same time.
const CLIENTS: usize = 4;

/// Returns a batch of one record with a value of `size` zeros.
fn bomb(codec: i16, size: usize) -> Bytes {
    let mut start = vec![0, 0, 0, 1];
    varint(&mut start, size as i64);
    let mut record = Vec::new();
    varint(&mut record, (start.len() + size + 1) as i64);
    record.extend(start);
    Crafted::with_payload(codec, 1, compressed(codec, &record, size)).bytes()
}

/// Compresses the start of a record and the zeros that follow it.
fn compressed(codec: i16, start: &[u8], zeros: usize) -> Vec<u8> {
    match codec {
        LZ4 => {
            let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
            frame.write_all(start).unwrap();
            io::copy(&mut io::repeat(0).take(zeros as u64 + 1), &mut frame).unwrap();
            frame.finish().unwrap()
        }
        SNAPPY => compress(codec, &[start, &vec![0; zeros + 1]].concat()),
        // Several streams in a row are one. This takes less time than to compress all of the zeros.
        _ => {
            let stream = compress(codec, &vec![0; STREAM]);
            let streams = stream.repeat(zeros / STREAM);
            [compress(codec, start), streams, compress(codec, &[0])].concat()
        }
    }
}

/// Sends the batch from several clients at the same time; returns the verdicts.
fn send_at_once(address: SocketAddr, batch: &Bytes) -> Vec<Verdict> {
    let send = |_| {
        let batch = batch.clone();
        thread::spawn(move || {
            let mut raw = Raw::connect(&address.to_string());
            let answer = raw.produce_with(-1, None, "t", 0, batch);
            verdict(answer.error_code)
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(send).collect();
    let verdicts = clients.into_iter().map(|client| client.join().unwrap());
    verdicts.collect()
}

#[test]
fn a_batch_that_inflates_to_a_gib_is_refused_and_takes_no_memory() {
    let broker = ChildBroker::start();
    create_topic(broker.address, "t");
    for codec in [GZIP, ZSTD, LZ4] {
        let batch = bomb(codec, 1_024 * MIB);
        let before = broker.resident();
        let verdicts = send_at_once(broker.address, &batch);
        let grown = broker.resident().saturating_sub(before) as usize;
        println!("codec {codec}: {} bytes take {grown}", batch.len());
        assert_eq!(verdicts, [Some(ResponseError::MessageTooLarge); CLIENTS]);
        let requests = CLIENTS * 2 * batch.len();
        assert!(grown < 64 * MIB + requests, "codec {codec}: {grown} bytes");
    }
}

#[test]
fn large_blocks_are_decompressed_one_at_a_time() {
    let broker = ChildBroker::start();
    create_topic(broker.address, "t");
    let batch = bomb(SNAPPY, 112 * MIB);
    let before = broker.resident();
    let verdicts = send_at_once(broker.address, &batch);
    let grown = broker.resident().saturating_sub(before) as usize;
    println!("{} bytes take {grown} at their end", batch.len());
    assert_eq!(verdicts, [None; CLIENTS]);
    let peak = broker.peak_resident().saturating_sub(before) as usize;
    println!("and {peak} at most");
    let requests = CLIENTS * 2 * batch.len();
    assert!(peak < 160 * MIB + requests, "{peak} bytes");
    assert_eq!(
        send_at_once(broker.address, &bomb(SNAPPY, 144 * MIB)),
        [Some(ResponseError::MessageTooLarge); CLIENTS]
    );
}
