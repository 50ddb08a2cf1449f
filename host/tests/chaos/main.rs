//! Chaos: daemons of one group and their broker are killed, stopped and started at random moments while Eventos flow;
//! afterwards what the topics hold is held against what was sent.
//!
//! `cargo xtask chaos --minutes N --seed S` runs it as long as one likes, on either broker; a run of every test has two
//! minutes of it.

mod broker;
mod fleet;
mod judge;
mod load;
mod stall;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use fastrand::Rng;

use self::{broker::Broker, fleet::Fleet, judge::Faults, load::Load, stall::Stalls};

/// The daemon.
const EVENTOS: &str = env!("CARGO_BIN_EXE_eventos");

/// The partitions of the topic that is consumed.
const PARTITIONS: i32 = 6;

#[derive(Parser)]
struct Arguments {
    /// How long things go wrong
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Of the random moments and choices
    #[arg(long)]
    seed: Option<u64>,
    /// Which broker
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    broker: Kind,
    /// The only guarantee to test; without it, one after the other
    #[arg(long, value_enum)]
    guarantee: Option<Guarantee>,
    /// What the test runner hands to every test
    #[arg(allow_hyphen_values = true)]
    filter: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Embedded,
    /// Of one node.
    Kafka,
    /// Of three nodes, of which one is killed at a time.
    KafkaCluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

/// What was done to the daemons and their broker.
#[derive(Debug, Default)]
struct Done {
    kills: usize,
    /// At the points between one effect and the next.
    deaths: usize,
    stops: usize,
    /// Times that the number of daemons changed.
    joined_or_left: usize,
    broker_restarts: usize,
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
    let clean = guarantees
        .into_iter()
        .all(|guarantee| run(arguments.broker, guarantee, time, seed) == Faults::default());
    if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(kind: Kind, guarantee: Guarantee, time: Duration, seed: u64) -> Faults {
    let on = match kind {
        Kind::Embedded => "the broker inside",
        Kind::Kafka => "Apache Kafka",
        Kind::KafkaCluster => "an Apache Kafka of three nodes",
    };
    println!("chaos with {guarantee:?} on {on} for {time:?}, seed {seed}");
    let mut broker = Broker::start(kind);
    let topics = load::Topics::create(&broker.address());
    let mut fleet = Fleet::start(&broker.address(), &topics, guarantee);
    let load = Load::start(&broker.address(), &topics);
    let stalls = Stalls::watch(&broker.address(), &topics);
    let done = disturb(
        &mut broker,
        may_be_restarted(kind, guarantee),
        &mut fleet,
        &stalls,
        time,
        &mut Rng::with_seed(seed),
    );
    let longest = stalls.finish();
    let sent = load.finish();
    fleet.wait_until_done(&broker.address(), &topics);
    let verdict = judge::judge(&broker.address(), &topics, &sent, guarantee);
    println!(
        "  {} Eventos, {} kills at any moment and {} at a point, {} orderly stops, {} more or fewer daemons, {} restarts of the broker",
        sent.len(),
        done.kills,
        done.deaths,
        done.stops,
        done.joined_or_left,
        done.broker_restarts
    );
    println!(
        "  {} repeated, longest stall {longest:?}, {:?}",
        verdict.repeated, verdict.faults
    );
    verdict.faults
}

/// Whether the broker may be restarted.
///
/// A Kafka that is the only broker begins again before it knows that it leads its partitions, and leaves out the markers
/// of transactions that are decided ("these partitions are likely deleted already and hence can be skipped", its log
/// says), also after an orderly stop: such a transaction counts in part, or later, whoever its producer is. Seen with
/// Kafka 4.3.1 five times in 25 minutes.
fn may_be_restarted(kind: Kind, guarantee: Guarantee) -> bool {
    (kind, guarantee) != (Kind::Kafka, Guarantee::ExactlyOnce)
}

/// Does something bad again and again; most of it while Eventos flow, every fourth at any moment after the one before.
fn disturb(
    broker: &mut Broker,
    may_be_restarted: bool,
    fleet: &mut Fleet,
    stalls: &Stalls,
    time: Duration,
    random: &mut Rng,
) -> Done {
    let (end, mut done) = (Instant::now() + time, Done::default());
    let mut told = Instant::now();
    while Instant::now() < end {
        if random.u8(..4) > 0 {
            // All of them may be dead.
            stalls.wait_for_progress(|| done.deaths += fleet.revive(random));
        }
        // Not to wait for anything: this is the random moment.
        thread::sleep(Duration::from_millis(random.u64(..1_500)));
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
                done.joined_or_left += 1;
            }
            _ if !may_be_restarted => {}
            _ => {
                broker.kill(random);
                thread::sleep(Duration::from_millis(random.u64(..1_000)));
                broker.revive();
                done.broker_restarts += 1;
            }
        }
        done.deaths += fleet.revive(random);
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!(
                "  {:.0?} left: {done:?}",
                end.saturating_duration_since(told)
            );
        }
    }
    broker.wait_until_it_serves();
    fleet.settle();
    stalls.wait_for_progress(|| {});
    done
}
