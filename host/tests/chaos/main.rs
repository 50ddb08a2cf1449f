//! Chaos: the daemons of a group and their broker are killed, stopped and started at random moments while Eventos flow. Afterwards the
//! records in the topics are compared with what was sent.
//!
//! `cargo xtask chaos --minutes N --seed S --broker B` runs it for any time and on any broker. `cargo xtask test` includes two minutes
//! on the built-in broker.

mod broker;
mod check;
mod fleet;
mod load;
mod progress;

use std::{
    fmt,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use eventos_testkit::wait::pause;
use fastrand::Rng;

use self::{
    broker::ChaosBroker, check::Violations, fleet::Fleet, load::Names, progress::ProgressWatcher,
};

/// Path of the daemon.
const EVENTOS: &str = env!("CARGO_BIN_EXE_eventos");

/// Partitions of the topic of Eventos.
const PARTITIONS: i32 = 6;

/// The topic of Eventos is deleted and created again after this time, but at least once in a run.
const ROUND: Duration = Duration::from_secs(60);

/// Time between two messages about the disturbances so far.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Arguments {
    /// Total duration of the disturbances
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Seed of the random moments and choices
    #[arg(long)]
    seed: Option<u64>,
    /// Broker to run on
    #[arg(long, value_enum, default_value_t = BrokerKind::Embedded)]
    broker: BrokerKind,
    /// Delivery guarantee to test [default: each of them for half of the time]
    #[arg(long, value_enum)]
    guarantee: Option<Guarantee>,
    /// Filters of the test runner
    #[arg(allow_hyphen_values = true)]
    filter: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BrokerKind {
    /// Built-in broker of a daemon
    Embedded,
    /// Apache Kafka with one node
    Kafka,
    /// Apache Kafka with three nodes, of which one at a time is killed
    KafkaCluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

/// Numbers of disturbances.
#[derive(Debug, Default)]
struct Disturbances {
    /// Daemons that were killed at a random moment.
    kills: usize,
    /// Daemons that killed themselves at a failpoint.
    failpoints: usize,
    /// Daemons that were stopped with SIGTERM.
    stops: usize,
    /// Times that the additional daemon joined or left.
    resizes: usize,
    broker_restarts: usize,
}

impl fmt::Display for BrokerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "the built-in broker",
            Self::Kafka => "Apache Kafka",
            Self::KafkaCluster => "Apache Kafka with three nodes",
        })
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeastOnce => "at least once",
            Self::ExactlyOnce => "exactly once",
        })
    }
}

impl fmt::Display for Disturbances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills at random moments, {} at failpoints, {} orderly stops, {} daemons joined or left, {} broker restarts",
            self.kills, self.failpoints, self.stops, self.resizes, self.broker_restarts
        )
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filters = arguments
        .filter
        .iter()
        .filter(|word| !word.starts_with('-'));
    if !filters.clone().all(|filter| "chaos".contains(&**filter)) {
        return ExitCode::SUCCESS;
    }
    let guarantees = match arguments.guarantee {
        Some(guarantee) => vec![guarantee],
        None => vec![Guarantee::AtLeastOnce, Guarantee::ExactlyOnce],
    };
    let time = Duration::from_secs_f64(arguments.minutes * 60.0) / guarantees.len() as u32;
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let holds = guarantees
        .into_iter()
        .all(|guarantee| run(arguments.broker, guarantee, time, seed) == Violations::default());
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(kind: BrokerKind, guarantee: Guarantee, time: Duration, seed: u64) -> Violations {
    println!("chaos on {kind} with {guarantee}, for {time:?}, seed {seed}");
    let mut broker = ChaosBroker::start(kind);
    let servers = broker.servers();
    let names = Names::create(&servers);
    let mut fleet = Fleet::start(&servers, &names, guarantee);
    let mut random = Rng::with_seed(seed);
    let mut load = load::start(&servers, &names, 0);
    let watcher = ProgressWatcher::start(&servers, &names);
    let rounds = (time.as_secs() / ROUND.as_secs()).max(2);
    let (mut sent, mut of_last_round) = (Vec::new(), 0);
    let mut disturbances = Disturbances::default();
    for round in 1..=rounds {
        disturb(
            (&mut broker, may_restart_broker(kind, guarantee)),
            &mut fleet,
            &watcher,
            time / u32::try_from(rounds).expect("few rounds"),
            &mut random,
            &mut disturbances,
        );
        of_last_round = sent.len();
        sent.extend(load.finish());
        fleet.wait_until_done(&servers, &names);
        if round == rounds {
            break;
        }
        recreate_topic(&servers, &names, &mut fleet, guarantee);
        load = load::start(&servers, &names, sent.len());
    }
    let longest_stall = watcher.finish();
    let result = check::check(&servers, &names, &sent, of_last_round, guarantee);
    println!(
        "  {} Eventos; {disturbances}; the topic was created again {} times",
        sent.len(),
        rounds - 1
    );
    println!(
        "  {}; {} repeated; the longest time without an emitted record was {longest_stall:.1?}",
        result.violations, result.repeated
    );
    result.violations
}

/// Deletes the topic of Eventos, of which everything is committed, and creates it again. Running daemons may handle records of the new
/// topic twice until they notice, so with exactly once they are stopped before.
fn recreate_topic(servers: &str, names: &Names, fleet: &mut Fleet, guarantee: Guarantee) {
    if guarantee == Guarantee::ExactlyOnce {
        fleet.stop_all();
    }
    eventos_testkit::recreate_topic(servers, &names.eventos, PARTITIONS);
}

/// Returns whether the test may restart the broker.
///
/// A single-node Kafka loses markers of decided transactions when it restarts, even after an orderly stop: it tries to write them before
/// it knows that it leads its partitions, and skips them ("these partitions are likely deleted already and hence can be skipped", says
/// its log). Such a transaction then counts only in part or later, whoever its producer is. This happened with Kafka 4.3.1 five times in
/// 25 minutes.
fn may_restart_broker(kind: BrokerKind, guarantee: Guarantee) -> bool {
    (kind, guarantee) != (BrokerKind::Kafka, Guarantee::ExactlyOnce)
}

/// Disturbs daemons and broker for this time. Three of four disturbances wait until Eventos flow again after the one before; the others
/// do not.
fn disturb(
    (broker, may_restart_broker): (&mut ChaosBroker, bool),
    fleet: &mut Fleet,
    watcher: &ProgressWatcher,
    time: Duration,
    random: &mut Rng,
    done: &mut Disturbances,
) {
    let end = Instant::now() + time;
    let mut last_report = Instant::now();
    while Instant::now() < end {
        if random.u8(..4) > 0 {
            // All daemons may be down, so this has to start them.
            watcher.wait_for_progress(|| done.failpoints += fleet.revive(random));
        }
        pause(Duration::from_millis(random.u64(..1_500)));
        match random.u8(..100) {
            ..50 => {
                fleet.kill_one(random);
                done.kills += 1;
            }
            50..70 => {
                fleet.stop_one(random);
                done.stops += 1;
            }
            70..85 => {
                fleet.grow_or_shrink(random);
                done.resizes += 1;
            }
            _ if !may_restart_broker => {}
            _ => {
                broker.kill(random);
                pause(Duration::from_millis(random.u64(..1_000)));
                broker.revive();
                done.broker_restarts += 1;
            }
        }
        done.failpoints += fleet.revive(random);
        if last_report.elapsed() > REPORT_INTERVAL {
            last_report = Instant::now();
            let left = end.saturating_duration_since(last_report);
            println!("  {left:.0?} left: {done}");
        }
    }
    broker.wait_until_it_serves();
    fleet.settle();
    watcher.wait_for_progress(|| {});
}
