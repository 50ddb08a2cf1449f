//! How long a batch waits when a handler is replaced while it runs, in a whole pipeline: from sending a batch until all
//! of it is stored, while another version is put in the place of the first handler, and while none is.
//!
//! Stretches with a replacement take turns with others that are as long and without one. A version that ran before
//! is read from where compiled ones are kept; a new one is compiled, on the same two cores, and that counts too.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use eventos::{
    assigned::Assigned,
    kafka::{self, Cluster, Producer, Refusals},
    pipeline::{self, Pipeline},
    plugin::{self, Cache, Engine, Registry},
    readiness::Readiness,
    store::{self, Store},
    telemetry::metrics::Metrics,
};
use eventos_testkit::measure::{
    Figures,
    part::{Part, runtime},
};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Replacements of each kind, each with a stretch of its own.
const SWAPS: u32 = 100;

/// Eventos sent at once.
const BATCH: usize = 64;

/// Batches after a replacement was made, for whoever takes it up late.
const AFTER: usize = 4;

/// At most so many milliseconds more, at the median.
const GOAL: f64 = 5.0;

/// No batch takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Milliseconds of the batches of each stretch, with replacements and without.
#[derive(Default)]
struct Stretches {
    with: Vec<Vec<f64>>,
    without: Vec<Vec<f64>>,
}

/// Measures and prints two tables in Markdown.
pub fn measure() {
    let dir = tempfile::tempdir().expect("a folder");
    let [plugins, cache, data] = ["plugins", "cache", "broker"].map(|name| dir.path().join(name));
    fs::create_dir(&plugins).expect("made");
    fs::write(plugins.join("10-bench.wasm"), version(0)).expect("written");
    fs::copy(built("plugins/store.wasm"), plugins.join("20-store.wasm")).expect("copied");
    let mut broker = Part::start(&["broker", &data.display().to_string()]);
    let servers = broker.line();

    let runtime = runtime();
    let _entered = runtime.enter();
    let (mut running, registry) = Running::start(&servers, plugins, cache);
    let put = |version: Vec<u8>| drop(registry.put("bench", &version).expect("it loads"));
    // Both of those that are known later are compiled, and everything has run once, before anything counts.
    for number in [1, 0] {
        running.during(|| put(version(number)));
    }
    let [mut known, mut new] = [Stretches::default(), Stretches::default()];
    for swap in 0..SWAPS {
        known.add(&mut running, || put(version((swap + 1) % 2)));
        new.add(&mut running, || put(version(2 + swap)));
    }
    println!(
        "ms from sending {BATCH} Eventos until they are stored, {SWAPS} replacements of each kind\n"
    );
    known.report("a version that was compiled before");
    new.report("a new version");
    running.stop.cancel();
    let ended = runtime.block_on(running.ended);
    ended.expect("no panic").expect("it ends well");
}

impl Stretches {
    fn add(&mut self, running: &mut Running, act: impl FnOnce() + Send) {
        let with = running.during(act);
        self.without
            .push(with.iter().map(|_| running.batch()).collect());
        self.with.push(with);
    }

    fn report(&self, what: &str) {
        let batches = self.with.iter().map(Vec::len).sum::<usize>() as f64;
        println!(
            "| {what}; {:.0} batches a stretch | without | with | more |",
            batches / f64::from(SWAPS)
        );
        println!("|---|---|---|---|");
        let all = [&self.without, &self.with].map(|of| of.concat());
        let slowest = [&self.without, &self.with].map(|of| slowest(of));
        row("a batch, median", &all, 0.5);
        row("a batch, p99", &all, 0.99);
        let more = row("the slowest of a stretch, median", &slowest, 0.5);
        row("the slowest of a stretch, p99", &slowest, 0.99);
        let verdict = if more <= GOAL { "met" } else { "MISSED" };
        println!("\ngoal: the slowest at most {GOAL} ms more at the median: {verdict}\n");
    }
}

fn slowest(stretches: &[Vec<f64>]) -> Vec<f64> {
    let slowest = |batches: &Vec<f64>| batches.iter().copied().fold(0.0, f64::max);
    stretches.iter().map(slowest).collect()
}

/// Prints a row; answers with how much more it is.
fn row(what: &str, figures: &[Vec<f64>; 2], quantile: f64) -> f64 {
    let at = |of: &Vec<f64>| Figures::new(of.clone()).quantile(quantile);
    let [without, with] = figures.each_ref().map(at);
    let more = with - without;
    println!("| {what} | {without:.2} | {with:.2} | {more:+.2} |");
    more
}

/// A pipeline whose store tells when a batch is through.
struct Running {
    producer: Producer,
    store: Store,
    sent: u64,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), kafka::Error>>,
}

impl Running {
    fn start(servers: &str, dir: PathBuf, cache: PathBuf) -> (Self, Registry) {
        let cluster = Cluster::new(kafka::Config::default(), servers);
        let store = Store::new(&store::Config {
            max_events: u64::MAX,
            ..store::Config::default()
        });
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let handlers = plugin::Config {
            dir,
            cache,
            ..plugin::Config::default()
        };
        let engine = Engine::new(Cache::from_config(&handlers)).expect("an engine");
        let registry = Registry::open(engine, handlers, BTreeMap::new(), metrics.clone());
        let registry = registry.expect("the handlers load");
        let producer = Producer::new(&cluster, |_| {}).expect("a producer");
        let topics = [cluster.config().topic.as_str()];
        let refusals = Refusals::default();
        let partitions = kafka::ensure_topics(&cluster, &topics, &refusals);
        let partitions = Handle::current().block_on(partitions).expect("created");
        producer.set_partitions(partitions[0]);
        let pipeline = Pipeline {
            cluster: cluster.clone(),
            client_id: "bench",
            config: &pipeline::Config::default(),
            output: None,
            chains: registry.chain(),
            instance: "bench",
            store: store.clone(),
            restore: None,
            metrics,
            readiness: Readiness::new([]),
            refusals: Refusals::default(),
            assigned: Assigned::default(),
            rewinds: tokio::sync::mpsc::channel(1).1,
            stop: stop.clone(),
        };
        let running = Self {
            producer,
            store,
            sent: 0,
            stop,
            ended: pipeline.start().expect("started"),
        };
        (running, registry)
    }

    /// Milliseconds of each batch while something is done in another thread, and of a few more.
    fn during(&mut self, act: impl FnOnce() + Send) -> Vec<f64> {
        thread::scope(|scope| {
            let acting = scope.spawn(act);
            let mut batches = Vec::new();
            while !acting.is_finished() {
                batches.push(self.batch());
            }
            batches.extend((0..AFTER).map(|_| self.batch()));
            batches
        })
    }

    /// Milliseconds from sending a batch until all of it is stored.
    fn batch(&mut self) -> f64 {
        let began = Instant::now();
        for _ in 0..BATCH {
            // One key, so that all are in one partition.
            let value = format!(
                r#"{{"id":"{:08}","tipo":"look","place":"{:-<58}"}}"#,
                self.sent, ""
            );
            let queued = self.producer.enqueue(Some(b"key"), value.as_bytes());
            drop(queued.expect("there is room"));
            self.sent += 1;
        }
        while self.store.events() < self.sent {
            assert!(
                began.elapsed() < DEADLINE,
                "{} are stored",
                self.store.events()
            );
            thread::sleep(Duration::from_micros(20));
        }
        began.elapsed().as_secs_f64() * 1e3
    }
}

/// The bench's handler as a version of its own: with a section that nobody reads.
fn version(number: u32) -> Vec<u8> {
    let mut module = fs::read(built("target/handlers/bench-handlers.wasm")).expect("built");
    // A custom section: its id, its length, the length of its name, its name, and the number.
    module.extend([0, 6, 1, b'v']);
    module.extend(number.to_le_bytes());
    module
}

fn built(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
