//! `kill -9` at random moments, during three loads: an idempotent producer (`numbers`), a group that commits what it has
//! read (`readers`), and transactions (`wholes`). Afterwards, the content of the topics is compared with what was
//! acknowledged.
//!
//! The number of kills and the seed of the random moments can be set:
//! `EVENTOS_TEST_KILLS=200 EVENTOS_TEST_SEED=7 cargo xtask test embedded::kills -- --nocapture`

mod numbers;
mod readers;
mod wholes;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::{create_topic, eventually, wait::pause};
use fastrand::Rng;

use super::child::ChildBroker;

/// The number of kills in each run of the suite.
const KILLS: u64 = 40;
/// The number of partitions of each topic.
const PARTITIONS: i32 = 4;
/// The longest time that a load may take to make progress after a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The state that the loads share.
struct Run {
    address: SocketAddr,
    stop: AtomicBool,
    /// Number of acknowledged messages of `numbers`.
    numbers: Arc<AtomicUsize>,
    /// Number of acknowledged commits of `readers`.
    commits: AtomicUsize,
    /// Number of transactions of `wholes` that ended as they should.
    transactions: AtomicUsize,
}

/// The number of faults of each kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Faults {
    /// Messages and transactions that were acknowledged and are missing.
    lost: usize,
    /// Messages that are there more than once.
    doubled: usize,
    /// Messages before one that was sent earlier to the same partition.
    out_of_order: usize,
    /// Transactions of which a read_committed consumer sees only a part, or anything although they were aborted.
    half_visible: usize,
    /// Partitions whose committed offset is or was behind an acknowledged commit.
    behind: usize,
    /// Partitions with an open transaction.
    left_open: usize,
}

impl Run {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn progress(&self) -> [usize; 3] {
        [&*self.numbers, &self.commits, &self.transactions]
            .map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Waits until each load has made progress.
    fn wait_for_progress(&self) {
        let before = self.progress();
        eventually("each load to get further", || {
            let (now, then) = (self.progress(), before);
            now.iter()
                .zip(then)
                .all(|(now, then)| *now >= then + 2)
                .then_some(())
        });
    }
}

/// Stops the loads when the test fails, because their threads are joined.
struct StopWhenDropped<'a>(&'a Run);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads a number from the environment.
fn set(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}={text}: expected a number")))
}

/// Kills the broker again and again. Most kills come while all three loads make progress, and one in four at any moment
/// after a start: while the broker recovers, or while its clients reconnect.
fn kill_again_and_again(broker: &mut ChildBroker, run: &Run, kills: u64, random: &mut Rng) {
    for _ in 0..kills {
        if random.u8(..4) > 0 {
            broker.wait_until_it_serves();
            run.wait_for_progress();
        }
        // The random moment of the kill.
        pause(Duration::from_micros(random.u64(..100_000)));
        broker.kill();
        broker.revive();
    }
    broker.wait_until_it_serves();
    run.wait_for_progress();
}

#[test]
fn nothing_is_lost_doubled_or_half_done_whenever_the_process_is_killed() {
    let kills = set("EVENTOS_TEST_KILLS").unwrap_or(KILLS);
    let seed = set("EVENTOS_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{kills} kills, EVENTOS_TEST_SEED={seed}");
    let start = Instant::now();
    let mut broker = ChildBroker::start();
    for topic in [numbers::TOPIC, wholes::TOPIC] {
        create_topic(&broker.address.to_string(), topic, PARTITIONS);
    }
    let run = Run {
        address: broker.address,
        stop: AtomicBool::new(false),
        numbers: Arc::default(),
        commits: AtomicUsize::new(0),
        transactions: AtomicUsize::new(0),
    };
    let (sent, read, done) = thread::scope(|scope| {
        let loads = (
            scope.spawn(|| numbers::load(&run)),
            scope.spawn(|| readers::load(&run)),
            scope.spawn(|| wholes::load(&run)),
        );
        let stop = StopWhenDropped(&run);
        run.wait_for_progress();
        kill_again_and_again(&mut broker, &run, kills, &mut Rng::with_seed(seed));
        drop(stop);
        let (sent, read, done) = loads;
        (
            sent.join().unwrap(),
            read.join().unwrap(),
            done.join().unwrap(),
        )
    });
    println!(
        "{kills} kills in {:?}: {} messages, {} commits, {}",
        start.elapsed(),
        sent.len(),
        read.acknowledged(),
        wholes::summary(&done),
    );
    let mut faults = Faults::default();
    numbers::judge(&run, &sent, &mut faults);
    readers::judge(&run, &read, &mut faults);
    wholes::judge(&run, &done, &mut faults);
    println!("{faults:?}");
    assert_eq!(faults, Faults::default());
}
