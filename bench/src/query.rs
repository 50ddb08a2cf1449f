//! `cargo xtask bench query`: how long `GET /messages` takes on a million stored Eventos while 50,000 a second come in, and
//! whether they come in as fast as without queries.
//!
//! One client asks one query at a time, each kind in turn, and does nothing in between but read the response.

use std::time::{Duration, Instant};

use eventos_testkit::{
    Background, Daemon, Setup, eventually,
    measure::{
        cpu::ThreadTimes,
        latencies::Latencies,
        part::runtime,
        report::{Report, Table},
    },
    wait::pause,
};
use rdkafka::producer::BaseRecord;

use crate::{
    connection::Connection,
    load::{fill, numbered, producer},
    options::{Defaults, Extent, Options},
    schedule::Schedule,
    world::{self, Servers},
};

const DEFAULTS: Defaults = Defaults {
    rounds: [5, 1],
    events: [1_000_000, 500_000],
    seconds: [8, 3],
};

const PARTITIONS: i32 = 4;

/// Eventos that come in, in a second.
const RATE: u64 = 50_000;

/// Times a second that some of them are produced.
const TICKS: u64 = 1_000;

/// Time from the beginning of the load until something is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// Eventos that may have been produced and not stored yet, when a query asks for one that is.
const BEHIND: u64 = 100_000;

/// What the client asks for, in this order; nothing first.
const KINDS: [&str; 7] = [
    "no queries",
    "?limit=100",
    "?limit=100&order=desc",
    "?limit=100&after=CURSOR, page by page",
    "?limit=100&tipo=sismo",
    "?limit=100&tipo=rare, one of 1,000",
    "/{id}, one of the newest half",
];

const QUERY: [&str; 3] = ["p50, ms", "p99, ms", "queries a second"];

const INGESTION: [&str; 3] = [
    "thousand Eventos a second",
    "us of CPU of the daemon each, queries included",
    "behind at the end",
];

/// The daemon that is asked, and what comes in.
struct Target {
    setup: Setup,
    daemon: Daemon,
    /// Eventos that the store holds at most.
    held: u64,
}

pub(crate) fn run(options: &Options) {
    let extent = options.extent(&DEFAULTS);
    let Extent {
        rounds,
        events,
        seconds,
    } = extent;
    let settings = format!("{rounds} rounds, {events} stored, {seconds} s for each kind of query");
    let mut report = Report::new("query", &settings);
    let target = Target::start(events);
    let mut queries: [[Vec<f64>; 3]; KINDS.len()] = Default::default();
    let mut ingestion: [[Vec<f64>; 3]; KINDS.len()] = Default::default();
    let mut sent = events;
    for round in 0..rounds {
        let whole = WARM_UP.as_secs() + KINDS.len() as u64 * seconds + 1;
        let schedule = Schedule::begin(TICKS, whole);
        let incoming = target.produce(schedule, sent);
        pause(WARM_UP);
        for (kind, name) in KINDS.iter().enumerate() {
            eprintln!("round {round}, {name}");
            let (latencies, figures) = target.measure(kind, seconds, sent, schedule);
            push(&mut ingestion[kind], figures);
            let rate = latencies.count() as f64 / seconds as f64;
            let percentiles = [0.5, 0.99].map(|quantile| latencies.milliseconds(quantile));
            push(&mut queries[kind], [percentiles[0], percentiles[1], rate]);
        }
        sent = incoming.finish();
        target.wait_for_consumed(sent);
    }
    let mut table = Table::new("GET /messages", &QUERY);
    for (name, rounds) in KINDS.iter().zip(queries).skip(1) {
        table.row(name, rounds.into());
    }
    report.add(&table);
    let mut table = Table::new("meanwhile consumed and stored", &INGESTION);
    for (name, rounds) in KINDS.iter().zip(ingestion) {
        table.row(name, rounds.into());
    }
    report.add(&table);
    report.write();
}

fn push(columns: &mut [Vec<f64>; 3], figures: [f64; 3]) {
    for (column, figure) in columns.iter_mut().zip(figures) {
        column.push(figure);
    }
}

impl Target {
    /// Starts a daemon, and waits until it holds this many Eventos.
    fn start(events: u64) -> Self {
        let config = format!("[store]\nmax_events = {events}\n");
        let setup = world::setup(Servers::Kafka, &["store"], &config);
        eprintln!("filling {}", setup.topic());
        fill(&setup.servers, &setup.topic(), PARTITIONS, 100, events);
        let daemon = setup.start();
        let target = Self {
            setup,
            daemon,
            held: events,
        };
        target.wait_for_consumed(events);
        target
    }

    /// Produces at the rate, with numbers from `first`. Returns the number after the last one in the end.
    fn produce(&self, schedule: Schedule, first: u64) -> Background<u64> {
        let producer = producer(&self.setup.servers, 5);
        let topic = self.setup.topic();
        Background::start(move |_| {
            let each = RATE / TICKS;
            schedule.run(|tick| {
                for i in first + tick * each..first + (tick + 1) * each {
                    let value = numbered(i, 100);
                    let record = BaseRecord::<(), _>::to(&topic).payload(&value);
                    let record = record.partition((i / each % PARTITIONS as u64) as i32);
                    let queued = producer.send(record).map_err(|(error, _)| error);
                    queued.expect("queued");
                }
            });
            first + schedule.count() * each
        })
    }

    /// Asks for one kind of query for some seconds. Returns the latencies, and the figures of what comes in meanwhile.
    fn measure(
        &self,
        kind: usize,
        seconds: u64,
        first: u64,
        schedule: Schedule,
    ) -> (Latencies, [f64; 3]) {
        let (times, consumed, began) = (
            ThreadTimes::read(self.daemon.pid()),
            self.consumed(),
            Instant::now(),
        );
        let until = began + Duration::from_secs(seconds);
        let latencies = match kind {
            0 => {
                pause(Duration::from_secs(seconds));
                Latencies::default()
            }
            _ => runtime().block_on(self.ask(kind, until)),
        };
        let (elapsed, cpu) = (began.elapsed().as_secs_f64(), times.seconds_since());
        let now = self.consumed();
        let due = schedule.start.elapsed().as_secs_f64() * RATE as f64 + first as f64;
        let came = (now - consumed) as f64;
        let behind = (due - now as f64).max(0.0);
        (latencies, [came / elapsed / 1e3, cpu * 1e6 / came, behind])
    }

    /// Asks one query after the other.
    async fn ask(&self, kind: usize, until: Instant) -> Latencies {
        let mut connection = Connection::open(&world::address(&self.daemon)).await;
        let newest = self.consumed().saturating_sub(BEHIND.min(self.held / 4));
        let mut latencies = Latencies::default();
        let mut cursor = None;
        while Instant::now() < until {
            let path = match kind {
                1 => "/messages?limit=100".to_owned(),
                2 => "/messages?limit=100&order=desc".to_owned(),
                3 => match &cursor {
                    Some(cursor) => format!("/messages?limit=100&after={cursor}"),
                    None => "/messages?limit=100".to_owned(),
                },
                4 => "/messages?limit=100&tipo=sismo".to_owned(),
                5 => "/messages?limit=100&tipo=rare".to_owned(),
                // The ids are numbers in the order in which they came.
                _ => format!("/messages/{:08}", newest - fastrand::u64(..self.held / 4)),
            };
            let began = Instant::now();
            let reply = connection.get(&path).await;
            latencies.record(began.elapsed());
            assert_eq!(reply.status, 200, "{path}");
            // Without a link, this was the last page for now.
            let cursors = reply.headers.get("x-next-cursor");
            let cursors = cursors.filter(|_| reply.headers.contains_key("link"));
            cursor = cursors.map(|value| value.to_str().expect("a cursor is text").to_owned());
        }
        latencies
    }

    fn consumed(&self) -> u64 {
        self.daemon.metric_sum("eventos_consumed_total") as u64
    }

    fn wait_for_consumed(&self, count: u64) {
        eventually(&format!("{count} consumed Eventos"), || {
            (self.consumed() >= count).then_some(())
        });
    }
}
