//! `cargo xtask bench guarantees`: the cost of exactly once. A whole process consumes a preloaded topic of 100-byte Eventos with each
//! guarantee in turn, on the built-in broker (in another process) and on Apache Kafka. Each is measured with an output topic that gets
//! every record that leaves the handler chain, and without one, so that the process only commits offsets.
//!
//! The parent process runs itself again for each part, with the name of the part as the argument.

#[path = "common/native.rs"]
mod native;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use eventos::{
    kafka::{self, PartitionCount},
    pipeline::{Config, Guarantee, Output, Pipeline},
    store::{self, Store},
    telemetry::metrics::{Metrics, MetricsFormat},
};
use eventos_testkit::{
    measure::{
        Figures,
        part::{Part, runtime, serve_broker},
        preload::{create_topics, preload},
        process_seconds,
    },
    wait::pause_async,
};
use native::native;
use pipeline::pipeline;
use tokio_util::sync::CancellationToken;

/// Eventos in the topic.
const EVENTOS: u64 = 200_000;

/// Partitions of the topics.
const PARTITIONS: i32 = 4;

/// Rounds in which both guarantees take turns.
const ROUNDS: usize = 5;

/// Time after which a part has failed.
const DEADLINE: Duration = Duration::from_secs(300);

const GUARANTEES: [&str; 2] = ["at_least_once", "exactly_once"];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => serve_broker(Path::new(dir)),
        ["preload", servers] => fill_topic(servers),
        ["run", servers, group, guarantee, output] => run(servers, group, guarantee, output),
        _ => compare(),
    }
}

fn compare() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut broker = Part::start(&["broker", &dir.path().display().to_string()]);
    let kafka = env::var("EVENTOS_BENCH_KAFKA").expect("run it as `cargo xtask bench guarantees`");
    println!(
        "median of {ROUNDS} rounds (minimum to maximum), {EVENTOS} Eventos, {PARTITIONS} partitions"
    );
    for (on, servers) in [
        ("the built-in broker", broker.read_line()),
        ("Apache Kafka", kafka),
    ] {
        Part::start(&["preload", &servers]).read_line();
        for output in ["output", "-"] {
            compare_on(on, &servers, output);
        }
    }
}

/// Compares both guarantees on one broker, with or without output.
fn compare_on(broker: &str, servers: &str, output: &str) {
    let (mut rates, mut costs) = ([vec![], vec![]], [vec![], vec![]]);
    for round in 0..ROUNDS {
        for (i, guarantee) in GUARANTEES.into_iter().enumerate() {
            let group = format!("{guarantee}-{output}-{round}");
            let printed = Part::start(&["run", servers, &group, guarantee, output]).read_line();
            let (wall, cpu) = printed.split_once(' ').expect("two figures");
            let [wall, cpu] = [wall, cpu].map(|text| text.parse::<f64>().expect("seconds"));
            rates[i].push(EVENTOS as f64 / wall / 1e3);
            costs[i].push(cpu * 1e6 / EVENTOS as f64);
        }
    }
    let what = match output {
        "-" => "nothing produced",
        _ => "everything sent to the output topic",
    };
    println!("\n{broker}, {what}");
    for (i, guarantee) in GUARANTEES.into_iter().enumerate() {
        println!(
            "  {guarantee:14} thousand per second {}",
            Figures::new(rates[i].clone())
        );
        println!(
            "  {guarantee:14} us of CPU each      {}",
            Figures::new(costs[i].clone())
        );
    }
    let [at_least, exactly] = &rates;
    println!(
        "  exactly / at least, rate           {}",
        Figures::ratios(exactly, at_least)
    );
    let [at_least, exactly] = &costs;
    println!(
        "  exactly / at least, CPU            {}",
        Figures::ratios(exactly, at_least)
    );
}

fn fill_topic(servers: &str) {
    let config = kafka::Config::default();
    runtime().block_on(async {
        let topics = [config.topic.as_str(), "output"];
        create_topics(servers, &topics, PARTITIONS).await;
        preload(servers, &config.topic, PARTITIONS, EVENTOS).await;
    });
    println!("done");
}

/// Consumes the topic. Prints the wall-clock seconds and the CPU seconds from joining the group until everything is consumed.
fn run(servers: &str, group: &str, guarantee: &str, output: &str) {
    let kafka = kafka::Config {
        group_id: group.to_owned(),
        ..kafka::Config::default()
    };
    let config = Config {
        guarantee: match guarantee {
            "exactly_once" => Guarantee::ExactlyOnce,
            _ => Guarantee::AtLeastOnce,
        },
        ..Config::default()
    };
    let output = (output != "-").then(|| Output {
        topic: output.to_owned(),
        partitions: PartitionCount::new(PARTITIONS),
    });
    let (store, metrics) = (Store::new(&store::Config::default()), Metrics::new());
    runtime().block_on(async {
        let stop = CancellationToken::new();
        let (began, cpu) = (Instant::now(), process_seconds());
        let pipeline = Pipeline {
            config,
            output,
            metrics: metrics.clone(),
            ..pipeline(servers, kafka, native(), &store, &stop)
        };
        let running = pipeline.start().expect("started");
        while consumed(&metrics) < EVENTOS {
            assert!(began.elapsed() < DEADLINE, "only {} stored", store.events());
            pause_async(Duration::from_millis(5)).await;
        }
        let figures = (began.elapsed().as_secs_f64(), process_seconds() - cpu);
        println!("{:.4} {:.4}", figures.0, figures.1);
        stop.cancel();
        running.await.expect("no panic").expect("no error");
    });
}

fn consumed(metrics: &Metrics) -> u64 {
    let text = metrics.render(MetricsFormat::Prometheus);
    let lines = text.lines().filter_map(|line| {
        let (_, count) = line
            .strip_prefix("eventos_consumed_total{")?
            .split_once(' ')?;
        count.parse::<u64>().ok()
    });
    lines.sum()
}
