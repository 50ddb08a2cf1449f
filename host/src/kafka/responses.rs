//! Whether the brokers answer, seen from the statistics of a consumer. A broker that is frozen keeps its connections: requests
//! wait for it until they time out, which takes a minute by default.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{Statistics, statistics::Broker};

/// How long a broker may send nothing while a request waits for it. A fetch is answered after `fetch.wait.max.ms` (500 ms),
/// a heartbeat at once.
const MAX_SILENCE: Duration = Duration::from_secs(3);

/// The state of a group member whose coordinator responds at once. While members join, the coordinator waits for the slowest
/// one.
const STEADY: &str = "steady";

/// A silent broker that cannot be connected to for this many statistics in a row is down, not frozen. Between two connections
/// to a frozen broker lies a second at most.
const MAX_UNCONNECTED: u8 = 4;

/// Follows how long each broker has been silent.
#[derive(Default)]
pub(super) struct ResponseMonitor {
    silent: BTreeMap<String, Silence>,
    is_unresponsive: bool,
}

/// A broker has sent nothing while a request waited for it.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// Since when, as a time of librdkafka's clock in microseconds.
    since: i64,
    /// The number of statistics in a row without a connection.
    unconnected: u8,
}

/// What the statistics say about one broker.
#[derive(Clone, Copy, Debug)]
struct BrokerSample {
    is_connected: bool,
    /// Whether requests wait for an answer that should come soon.
    is_waiting: bool,
    /// Microseconds since the last bytes came over this connection; negative if none came yet.
    idle: i64,
}

impl ResponseMonitor {
    /// Takes note of new statistics. Returns whether all brokers answer, if that has changed.
    pub(super) fn observe(&mut self, statistics: &Statistics) -> Option<bool> {
        let state = statistics.cgrp.as_ref().map(|group| &*group.join_state);
        let is_steady = state == Some(STEADY);
        let samples = statistics
            .brokers
            .iter()
            .map(|(name, broker)| (name.as_str(), BrokerSample::new(broker, is_steady)));
        self.observe_samples(statistics.ts, samples)
    }

    fn observe_samples<'b>(
        &mut self,
        now: i64,
        samples: impl Iterator<Item = (&'b str, BrokerSample)>,
    ) -> Option<bool> {
        let mut silent = BTreeMap::new();
        for (name, sample) in samples {
            let former = self.silent.get(name).copied();
            if let Some(silence) = sample.silence(now, former) {
                silent.insert(name.to_owned(), silence);
            }
        }
        self.silent = silent;
        let is_unresponsive = self.silent.values().any(|silence| silence.is_long(now));
        let has_changed = is_unresponsive != self.is_unresponsive;
        self.is_unresponsive = is_unresponsive;
        has_changed.then_some(!is_unresponsive)
    }
}

impl Silence {
    fn is_long(self, now: i64) -> bool {
        let max = i64::try_from(MAX_SILENCE.as_micros()).unwrap_or(i64::MAX);
        now - self.since >= max
    }
}

impl BrokerSample {
    fn new(broker: &Broker, is_group_steady: bool) -> Self {
        // The connection to the coordinator of the group is a "logical" broker of its own.
        let answers_at_once = broker.source != "logical" || is_group_steady;
        let is_connecting = matches!(&*broker.state, "INIT" | "DOWN" | "TRY_CONNECT" | "CONNECT");
        Self {
            is_connected: !is_connecting,
            is_waiting: broker.waitresp_cnt > 0 && answers_at_once,
            idle: broker.rxidle,
        }
    }

    /// Returns the silence that goes on or begins, if one does.
    fn silence(self, now: i64, former: Option<Silence>) -> Option<Silence> {
        let Some(former) = former else {
            let silence = Silence {
                since: now,
                unconnected: 0,
            };
            return self.is_waiting.then_some(silence);
        };
        let received = (self.idle >= 0).then(|| now - self.idle);
        let received = received.filter(|&at| at > former.since);
        // Between two connections to a frozen broker nothing waits.
        let goes_on = self.is_waiting || (received.is_none() && former.is_long(now));
        let unconnected = match self.is_connected {
            true => 0,
            false => former.unconnected + 1,
        };
        (goes_on && unconnected < MAX_UNCONNECTED).then_some(Silence {
            since: received.unwrap_or(former.since),
            unconnected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn sample(is_waiting: bool, idle: i64) -> BrokerSample {
        BrokerSample {
            is_connected: true,
            is_waiting,
            idle,
        }
    }

    fn observe(monitor: &mut ResponseMonitor, second: i64, sample: BrokerSample) -> Option<bool> {
        monitor.observe_samples(second * SECOND, std::iter::once(("b:9092/1", sample)))
    }

    #[test]
    fn a_broker_that_answers_or_is_not_asked_is_fine() {
        let mut monitor = ResponseMonitor::default();
        for second in 0..100 {
            let sample = sample(true, SECOND / 2);
            assert_eq!(observe(&mut monitor, second, sample), None);
        }
        // A request that was just sent after a long pause.
        for second in 100..200 {
            let sample = sample(second % 3 == 0, 50 * SECOND);
            assert_eq!(observe(&mut monitor, second, sample), None);
        }
    }

    #[test]
    fn a_broker_that_stays_silent_is_noticed_and_so_is_its_answer() {
        let mut monitor = ResponseMonitor::default();
        let silent = |seconds| sample(true, seconds * SECOND);
        assert_eq!(observe(&mut monitor, 10, silent(0)), None);
        assert_eq!(observe(&mut monitor, 11, silent(1)), None);
        assert_eq!(observe(&mut monitor, 12, silent(2)), None);
        assert_eq!(observe(&mut monitor, 13, silent(3)), Some(false));
        // It is connected to again, which it does not answer either.
        let connecting = BrokerSample {
            is_connected: false,
            ..sample(false, -1)
        };
        assert_eq!(observe(&mut monitor, 14, connecting), None);
        assert_eq!(observe(&mut monitor, 15, sample(true, -1)), None);
        assert_eq!(observe(&mut monitor, 16, sample(true, 0)), Some(true));
    }

    #[test]
    fn a_broker_that_is_down_is_not_waited_for() {
        let mut monitor = ResponseMonitor::default();
        assert_eq!(observe(&mut monitor, 0, sample(true, 0)), None);
        assert_eq!(
            observe(&mut monitor, 5, sample(true, 5 * SECOND)),
            Some(false)
        );
        let down = BrokerSample {
            is_connected: false,
            ..sample(false, -1)
        };
        assert_eq!(
            [6, 7, 8].map(|second| observe(&mut monitor, second, down)),
            [None; 3]
        );
        assert_eq!(observe(&mut monitor, 9, down), Some(true));
        assert_eq!(monitor.observe_samples(0, std::iter::empty()), None);
    }
}
