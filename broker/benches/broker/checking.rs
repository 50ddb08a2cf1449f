//! What it costs to check the records of produced batches, beside Kafka, which checks the same.
//!
//! Nothing else that a broker does with a batch depends on the number of its records or on its codec. So the cost per record
//! follows from two batches of the same size, one with many records and one with a single record; and the cost of a codec
//! from the same records with it and without it.

use std::io::Write as _;

use eventos_testkit::measure::Figures;

use crate::{
    Load, Row, Took, WARM_UP, prepared, row,
    target::Target,
    wire::{BATCH_HEADER, batch_of, set_records},
};

/// The number of rounds after those of the warm-up.
const ROUNDS: usize = 7;
/// The records of a batch of many, and their size in bytes.
const RECORDS: usize = 640;
const BYTES: usize = 100;
/// The topic has one partition.
const ROW: Row = row(BYTES, 1);
/// The number of the topic, after those of the other measurements.
pub(crate) const TOPIC: usize = 100;

/// What a batch is made of.
struct Case {
    name: &'static str,
    batch: Vec<u8>,
    records: usize,
}

/// Produces each kind of batch to both brokers in turn, and prints the CPU time that the brokers take.
pub(crate) fn compare(sides: [&Target; 2]) {
    let topics = sides.map(|target| target.create_topic(TOPIC, ROW.partitions));
    let cases = cases();
    let mut took: Vec<[Vec<f64>; 2]> = cases.iter().map(|_| Default::default()).collect();
    for round in 0..WARM_UP + ROUNDS {
        for (case, took) in cases.iter().zip(&mut took) {
            for side in [round % 2, 1 - round % 2] {
                let load = Load {
                    topic: &topics[side],
                    row: ROW,
                    messages: prepared::BATCHES * case.records,
                    from: 0,
                };
                let Took { broker, .. } = prepared::produce_batch(sides[side], &load, &case.batch);
                if round >= WARM_UP {
                    took[side].push(broker * 1e6 / prepared::BATCHES as f64);
                }
            }
        }
    }
    print(&cases, &took);
}

fn cases() -> Vec<Case> {
    let text = text(RECORDS * BYTES);
    let many = batch_of(text.chunks_exact(BYTES));
    let mut cases = vec![
        Case {
            name: "1 record, uncompressed",
            batch: batch_of([&text[..]]),
            records: 1,
        },
        Case {
            name: "640 records, uncompressed",
            batch: many.clone(),
            records: RECORDS,
        },
    ];
    for (codec, name) in [(1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")] {
        let payload = compress(codec, &many[BATCH_HEADER..]);
        cases.push(Case {
            name,
            batch: set_records(&many, codec, &payload),
            records: RECORDS,
        });
    }
    cases
}

/// Returns text that compresses about as well as JSON does: words in an arbitrary order.
fn text(bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "\"id\":",
        "\"tipo\":",
        "order",
        "created",
        "17",
        "4711",
        "{",
        "}",
        "customer",
        "null",
        "\"total\":",
        "99.90",
        "EUR",
        ",",
        "2026-11-30",
        "true",
    ];
    let mut random = fastrand::Rng::with_seed(4);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(WORDS[random.usize(..WORDS.len())]);
        if random.u8(..4) == 0 {
            text.push_str(&random.u32(..).to_string());
        }
    }
    text.truncate(bytes);
    text.into_bytes()
}

fn compress(codec: u8, records: &[u8]) -> Vec<u8> {
    match codec {
        1 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(records).expect("compressed");
            out.finish().expect("compressed")
        }
        2 => snap::raw::Encoder::new()
            .compress_vec(records)
            .expect("compressed"),
        3 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(records).expect("compressed");
            out.finish().expect("compressed")
        }
        _ => zstd::stream::encode_all(records, 0).expect("compressed"),
    }
}

fn print(cases: &[Case], took: &[[Vec<f64>; 2]]) {
    println!(
        "\nwhat checking produced batches costs: broker's CPU, us a batch of 64 kB before compression"
    );
    println!("medians of {ROUNDS} rounds (least to greatest)\n");
    println!(
        "                            eventos                      Kafka                        eventos / Kafka"
    );
    for (case, took) in cases.iter().zip(took) {
        let [ours, kafka] = [0, 1].map(|side: usize| Figures::new(took[side].clone()).to_string());
        let ratio = Figures::ratios(&took[0], &took[1]);
        println!("  {:25} {ours:28} {kafka:28} {ratio}", case.name);
    }
    let more = |case: usize, than: usize, side: usize| -> f64 {
        let pairs = took[case][side].iter().zip(&took[than][side]);
        Figures::new(pairs.map(|(case, than)| case - than).collect()).median()
    };
    let a_record = [0, 1].map(|side| more(1, 0, side) * 1e3 / RECORDS as f64);
    println!(
        "\n  a record: eventos {:.1} ns, Kafka {:.1} ns",
        a_record[0], a_record[1]
    );
    for (i, case) in cases.iter().enumerate().skip(2) {
        let [ours, kafka] = [0, 1].map(|side| more(i, 1, side));
        println!(
            "  {} instead of none: eventos {ours:+.0} us, Kafka {kafka:+.0} us a batch",
            case.name
        );
    }
}
