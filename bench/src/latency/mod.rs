//! `cargo xtask bench latency`: how long an Evento takes, on the built-in broker and on Apache Kafka.
//!
//! - `POST /send` at a fixed rate: from the moment at which it was due to its acknowledgement, and from there to the first response
//!   of `GET /messages/{id}` that has it. At most 500 of a second are looked for, since looking is work, too.
//! - At the same rates, from the moment at which a record was due in the topic to its arrival at a consumer of `output.topic`.
//! - One at a time: `POST /send`, a bare producer of librdkafka, and from produce to consume with one record in flight.

mod output;
mod single;
mod visible;

use eventos_testkit::{
    Daemon, Setup, create_topic,
    measure::{
        latencies::Latencies,
        part::runtime,
        report::{Report, Table},
    },
};

use crate::{
    options::{Defaults, Extent, Options},
    world::{self, Servers},
};

/// Eventos in a second.
const RATES: [u64; 3] = [1, 1_000, 20_000];

const PARTITIONS: i32 = 4;

const DEFAULTS: Defaults = Defaults {
    rounds: [5, 1],
    events: [2_000, 500],
    seconds: [8, 5],
};

/// Names of the percentiles, which are in milliseconds.
const PERCENTILES: [&str; 3] = ["p50, ms", "p99, ms", "p99.9, ms"];

/// The daemons on one broker. They run during all rounds, so that the brokers take turns.
struct Subject {
    servers: Servers,
    /// Stores everything and produces nothing.
    storing: (Setup, Daemon),
    /// Sends everything on to `output.topic`, too.
    sending_on: (Setup, Daemon),
}

/// The figures of one kind of latency, by round.
#[derive(Default)]
struct Rounds {
    percentiles: [Vec<f64>; 3],
    /// Thousand in a second that were completed.
    rates: Vec<f64>,
}

pub(crate) fn run(options: &Options) {
    let extent = options.extent(&DEFAULTS);
    let Extent {
        rounds,
        events,
        seconds,
    } = extent;
    let settings = format!("{rounds} rounds, {seconds} s at each rate, {events} one at a time");
    let mut report = Report::new("latency", &settings);
    let subjects = Servers::BOTH.map(Subject::start);
    at_rates(&mut report, &subjects, extent);
    single::compare(&mut report, &subjects, extent);
    report.write();
}

impl Subject {
    fn start(servers: Servers) -> Self {
        let storing = start(world::setup(servers, &["store"], ""));
        let mut setup = world::setup(servers, &["store"], "");
        setup.add_config(&format!("\n[output]\ntopic = \"{}-out\"\n", setup.name));
        let sending_on = start(setup);
        Self {
            servers,
            storing,
            sending_on,
        }
    }
}

/// Starts a daemon on topics of its own. Kafka would create them with one partition.
fn start(setup: Setup) -> (Setup, Daemon) {
    if setup.servers != "embedded" {
        create_topic(&setup.servers, &setup.topic(), PARTITIONS);
        create_topic(&setup.servers, &format!("{}-out", setup.name), PARTITIONS);
    }
    let daemon = setup.start();
    (setup, daemon)
}

fn at_rates(report: &mut Report, subjects: &[Subject], extent: Extent) {
    let columns = [&PERCENTILES[..], &["thousand a second"]].concat();
    let mut acknowledged = Table::new("POST /send at a fixed rate: due to acknowledged", &columns);
    let mut visible = Table::new(
        "acknowledged to visible at GET /messages/{id}",
        &PERCENTILES,
    );
    let mut sent_on = Table::new(
        "topic at a fixed rate: due to received from output.topic",
        &columns,
    );
    for rate in RATES {
        // A daemon that cannot keep up goes on until everything has been sent.
        let seconds = match rate {
            ..10_000 => extent.seconds,
            _ => extent.seconds.div_ceil(2),
        };
        let mut figures: Vec<[Rounds; 3]> = subjects.iter().map(|_| Default::default()).collect();
        for round in 0..extent.rounds {
            for (subject, figures) in subjects.iter().zip(&mut figures) {
                eprintln!("round {round}, {}, {rate} a second", subject.servers.name());
                measure(subject, figures, rate, seconds);
            }
        }
        for (subject, [sends, reads, outputs]) in subjects.iter().zip(figures) {
            let name = format!("{}, {rate} a second", subject.servers.name());
            acknowledged.row(&name, sends.with_rates());
            visible.row(&name, reads.percentiles.into());
            sent_on.row(&name, outputs.with_rates());
        }
    }
    for table in [acknowledged, visible, sent_on] {
        report.add(&table);
    }
}

/// Measures one round at one rate.
fn measure(subject: &Subject, [sends, reads, outputs]: &mut [Rounds; 3], rate: u64, seconds: u64) {
    let address = world::address(&subject.storing.1);
    let (sent, seen, completed) = runtime().block_on(visible::measure(&address, rate, seconds));
    sends.add(&sent, completed);
    reads.add(&seen, completed);
    let (setup, daemon) = &subject.sending_on;
    let output = format!("{}-out", setup.name);
    let (received, completed) =
        output::measure(daemon.broker(), [&setup.topic(), &output], rate, seconds);
    outputs.add(&received, completed);
}

impl Rounds {
    fn add(&mut self, latencies: &Latencies, rate: f64) {
        for (rounds, quantile) in self.percentiles.iter_mut().zip([0.5, 0.99, 0.999]) {
            rounds.push(latencies.milliseconds(quantile));
        }
        self.rates.push(rate / 1e3);
    }

    fn with_rates(self) -> Vec<Vec<f64>> {
        self.percentiles.into_iter().chain([self.rates]).collect()
    }
}
