//! `cargo xtask bench pipeline`: CPU time per Evento of a whole process that reads a preloaded topic of a million Eventos of 100 bytes.
//! Three ways take turns, each in its own process, with the built-in broker in another: a bare `BaseConsumer` that only counts; our
//! pipeline with the default handler, from consuming to storing; our pipeline with the same logic in native Rust.
//!
//! The parent process runs itself again for each part, with the name of the part as the argument.

#[path = "common/component.rs"]
mod component;
#[path = "common/native.rs"]
mod native;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use component::component;
use eventos::{
    kafka::{self, Cluster, Refusals},
    plugin::{Compiler, Handler},
    store::{self, Store},
};
use eventos_testkit::{
    measure::{
        Figures,
        part::{Part, runtime, serve_broker},
        preload::preload,
        process_seconds,
    },
    wait::pause_async,
};
use native::native;
use pipeline::pipeline;
use tokio_util::sync::CancellationToken;

/// Eventos in the topic.
const EVENTOS: u64 = 1_000_000;

/// Rounds in which all three ways take turns.
const ROUNDS: usize = 7;

/// Maximum cost relative to the bare consumer.
const GOAL_BARE: f64 = 2.5;

/// Maximum cost relative to native Rust.
const GOAL_NATIVE: f64 = 1.1;

/// Time after which a part has failed.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => serve_broker(Path::new(dir)),
        ["preload", servers] => fill_topic(servers),
        ["bare", servers, group] => bare(servers, group),
        ["wasm", servers, group] => ours(servers, group, component(Compiler::InProcess)),
        ["native", servers, group] => ours(servers, group, native()),
        _ => compare(),
    }
}

/// Starts the parts in turn and compares the figures that they print.
fn compare() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut broker = Part::start(&["broker", &dir.path().display().to_string()]);
    let servers = broker.read_line();
    eprintln!("preloading {EVENTOS} Eventos of 100 bytes");
    Part::start(&["preload", &servers]).read_line();
    let ways = ["bare", "wasm", "native"];
    let mut rounds = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for (way, rounds) in ways.iter().zip(&mut rounds) {
            let group = format!("{way}-{round}");
            let printed = Part::start(&[way, &servers, &group]).read_line();
            let seconds: f64 = printed.parse().expect("CPU seconds");
            rounds.push(seconds * 1e6 / EVENTOS as f64);
            eprintln!("round {round}: {way} {printed} s of CPU");
        }
    }
    println!("us of CPU per Evento, whole process: median of {ROUNDS} rounds (minimum to maximum)");
    let [bare, wasm, native] = rounds;
    for (way, rounds) in [
        ("bare BaseConsumer, counting", &bare),
        ("pipeline, store.wasm", &wasm),
        ("pipeline, native Rust", &native),
    ] {
        println!("{way:28} {}", Figures::new(rounds.clone()));
    }
    verdict(
        "store.wasm / bare",
        &Figures::ratios(&wasm, &bare),
        GOAL_BARE,
    );
    verdict(
        "store.wasm / native",
        &Figures::ratios(&wasm, &native),
        GOAL_NATIVE,
    );
}

fn verdict(what: &str, ratio: &Figures, goal: f64) {
    let met = if ratio.median() <= goal {
        "met"
    } else {
        "MISSED"
    };
    println!("{what:28} {ratio}   goal: at most {goal}: {met}");
}

fn fill_topic(servers: &str) {
    let cluster = Cluster::new(kafka::Config::default(), servers);
    runtime().block_on(async {
        let topics = [cluster.config().topic.as_str()];
        let partitions = kafka::ensure_topics(&cluster, &topics, &Refusals::default()).await;
        preload(servers, topics[0], partitions.expect("created")[0], EVENTOS).await;
    });
    println!("done");
}

/// The bare consumer: it only polls and counts, with the settings of our own consumer.
fn bare(servers: &str, group: &str) {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};

    let began = process_seconds();
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("fetch.queue.backoff.ms", "2")
        .set("queued.max.messages.kbytes", "16384")
        .create()
        .expect("a consumer");
    let topic = kafka::Config::default().topic;
    consumer.subscribe(&[&topic]).expect("subscribed");
    let mut count = 0;
    while count < EVENTOS {
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            message.expect("a message");
            count += 1;
        }
    }
    println!("{:.4}", process_seconds() - began);
}

fn ours(servers: &str, group: &str, handler: Handler) {
    let kafka = kafka::Config {
        group_id: group.to_owned(),
        ..kafka::Config::default()
    };
    let store = Store::new(&store::Config::default());
    runtime().block_on(async {
        let began = process_seconds();
        let stop = CancellationToken::new();
        let pipeline = pipeline(servers, kafka, handler, &store, &stop);
        let running = pipeline.start().expect("started");
        let deadline = Instant::now() + DEADLINE;
        while store.events() < EVENTOS {
            assert!(Instant::now() < deadline, "only {} stored", store.events());
            pause_async(Duration::from_millis(2)).await;
        }
        println!("{:.4}", process_seconds() - began);
        stop.cancel();
        running.await.expect("no panic").expect("no error");
    });
}
