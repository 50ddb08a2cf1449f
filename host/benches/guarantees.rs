//! `cargo xtask bench guarantees`: what exactly once costs. A whole process consumes a preloaded topic of 100-byte Eventos,
//! in turn with each guarantee, on the broker inside (in another process) and on Apache Kafka: once with everything that
//! leaves the chain sent on to an output topic, once with nothing produced, so that only offsets are committed.
//!
//! The parent runs itself again for each part, with the part's name as the argument.

use std::{
    env,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use eventos::{
    assigned::Assigned,
    event::{Batch, HandlerOutput, Outcomes},
    kafka::{self, Cluster, Refusals},
    pipeline::{self, Guarantee, Output, Pipeline},
    plugin::{Chain, Handler},
    readiness::Readiness,
    store::{self, Store},
    telemetry::metrics::Metrics,
};
use eventos_testkit::measure::{
    Figures,
    part::{Part, broker, runtime},
    preload::preload,
    process_seconds,
};
use tokio_util::sync::CancellationToken;

/// Eventos in the topic, and its partitions.
const EVENTOS: u64 = 200_000;
const PARTITIONS: i32 = 4;

/// Rounds of both guarantees.
const ROUNDS: usize = 5;

/// No part takes longer.
const DEADLINE: Duration = Duration::from_secs(300);

const GUARANTEES: [&str; 2] = ["at_least_once", "exactly_once"];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => broker(Path::new(dir)),
        ["preload", servers] => fill_topic(servers),
        ["run", servers, group, guarantee, output] => run(servers, group, guarantee, output),
        _ => compare(),
    }
}

fn compare() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut inside = Part::start(&["broker", &dir.path().display().to_string()]);
    let kafka = env::var("EVENTOS_BENCH_KAFKA").expect("run it as `cargo xtask bench guarantees`");
    println!(
        "median of {ROUNDS} rounds (least to greatest), {EVENTOS} Eventos, {PARTITIONS} partitions"
    );
    for (on, servers) in [
        ("the broker inside", inside.line()),
        ("Apache Kafka", kafka),
    ] {
        Part::start(&["preload", &servers]).line();
        for output in ["output", "-"] {
            on_one(on, &servers, output);
        }
    }
}

fn on_one(on: &str, servers: &str, output: &str) {
    let (mut rates, mut costs) = ([vec![], vec![]], [vec![], vec![]]);
    for round in 0..ROUNDS {
        for (i, guarantee) in GUARANTEES.into_iter().enumerate() {
            let group = format!("{guarantee}-{output}-{round}");
            let printed = Part::start(&["run", servers, &group, guarantee, output]).line();
            let (wall, cpu) = printed.split_once(' ').expect("two figures");
            let [wall, cpu] = [wall, cpu].map(|text| text.parse::<f64>().expect("seconds"));
            rates[i].push(EVENTOS as f64 / wall / 1e3);
            costs[i].push(cpu * 1e6 / EVENTOS as f64);
        }
    }
    let what = match output {
        "-" => "nothing produced",
        _ => "all sent on to the output",
    };
    println!("\n{on}, {what}");
    for (i, guarantee) in GUARANTEES.into_iter().enumerate() {
        println!(
            "  {guarantee:14} thousand a second {}",
            Figures::new(rates[i].clone())
        );
        println!(
            "  {guarantee:14} us of CPU each    {}",
            Figures::new(costs[i].clone())
        );
    }
    let [least, exactly] = &rates;
    println!(
        "  exactly / at least, rate         {}",
        Figures::ratios(exactly, least)
    );
    let [least, exactly] = &costs;
    println!(
        "  exactly / at least, CPU          {}",
        Figures::ratios(exactly, least)
    );
}

fn fill_topic(servers: &str) {
    let config = kafka::Config::default();
    runtime().block_on(async {
        let topics = [config.topic.as_str(), "output"];
        // Both brokers then have the same: Kafka makes topics of one partition by itself.
        create(servers, &topics).await;
        preload(servers, &config.topic, PARTITIONS, EVENTOS).await;
    });
    println!("done");
}

async fn create(servers: &str, topics: &[&str]) {
    use rdkafka::{
        ClientConfig,
        admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
        client::DefaultClientContext,
    };
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .expect("a client");
    let new = topics
        .iter()
        .map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)));
    let new: Vec<_> = new.collect();
    let created = admin.create_topics(&new, &AdminOptions::new()).await;
    for topic in created.expect("answered") {
        topic.expect("created");
    }
}

/// Prints the seconds, of the clock and of CPU, from joining the group until all is done and committed.
fn run(servers: &str, group: &str, guarantee: &str, output: &str) {
    let kafka = kafka::Config {
        group_id: group.to_owned(),
        ..kafka::Config::default()
    };
    let config = pipeline::Config {
        guarantee: match guarantee {
            "exactly_once" => Guarantee::ExactlyOnce,
            _ => Guarantee::AtLeastOnce,
        },
        ..pipeline::Config::default()
    };
    let output = (output != "-").then(|| Output {
        topic: output.to_owned(),
        partitions: PARTITIONS,
    });
    let (store, metrics) = (Store::new(&store::Config::default()), Metrics::new());
    runtime().block_on(async {
        let stop = CancellationToken::new();
        let (began, cpu) = (Instant::now(), process_seconds());
        let pipeline = Pipeline {
            cluster: Cluster::new(kafka, servers),
            client_id: "bench",
            config: &config,
            output,
            chains: Chain::fixed(vec![Arc::new(Handler::native("store", store_all))]),
            instance: "bench",
            store: store.clone(),
            restore: None,
            metrics: metrics.clone(),
            readiness: Readiness::new([]),
            refusals: Refusals::default(),
            assigned: Assigned::default(),
            rewinds: tokio::sync::mpsc::channel(1).1,
            stop: stop.clone(),
        };
        let running = pipeline.start().expect("started");
        while consumed(&metrics) < EVENTOS {
            assert!(began.elapsed() < DEADLINE, "only {} stored", store.events());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let figures = (began.elapsed().as_secs_f64(), process_seconds() - cpu);
        println!("{:.4} {:.4}", figures.0, figures.1);
        stop.cancel();
        running.await.expect("no panic").expect("it ends well");
    });
}

fn consumed(metrics: &Metrics) -> u64 {
    let text = metrics.render();
    let lines = text.lines().filter_map(|line| {
        let (_, count) = line
            .strip_prefix("eventos_consumed_total{")?
            .split_once(' ')?;
        count.parse::<u64>().ok()
    });
    lines.sum()
}

fn store_all(batch: &Batch) -> HandlerOutput {
    HandlerOutput {
        stored: (0..batch.len()).map(|i| i as u32).collect(),
        outcomes: Outcomes::all_passing(batch.len()),
        ..HandlerOutput::default()
    }
}
