//! The thread that polls the consumer. It fills a batch a partition and hands over what is there
//! as soon as nothing more is waiting, or the batch is full. A partition whose worker lags behind
//! is paused, while polling goes on, so the group never takes us for dead.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    assignment::{Flight, Lane, Tenures},
    restore::Restores,
    worker::Workers,
};
use crate::{
    assigned::Assigned,
    event::Partition,
    kafka::{self, Consumed, Consumer, Notice, Polled},
    replay::RewindCommands,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// How long one poll waits when there is nothing else to do; a signal to stop waits as long.
const IDLE: Duration = Duration::from_millis(50);

/// How long it waits while a partition is paused, since that could go on soon.
const PAUSED: Duration = Duration::from_millis(2);

/// How long a rebalance or a shutdown waits for what is under way. Within librdkafka's
/// `max.poll.interval.ms` (5 minutes), and any patience with a shutdown.
pub(super) const DRAIN: Duration = Duration::from_secs(25);

pub(super) struct Intake {
    pub consumer: Arc<Consumer>,
    pub notices: mpsc::Receiver<Notice>,
    pub flight: Arc<Flight>,
    pub tenures: Arc<Tenures>,
    pub workers: Workers,
    /// None if the view is not to be restored.
    pub restores: Option<Restores>,
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub assigned: Assigned,
    pub rewinds: RewindCommands,
    pub stop: CancellationToken,
}

impl Intake {
    /// Polls until told to stop, then drains.
    ///
    /// # Errors
    /// [`kafka::Error::Fatal`], after which nothing more is consumed.
    pub(super) fn run(mut self) -> Result<(), kafka::Error> {
        let mut lanes = Lanes::default();
        let polled = self.poll(&mut lanes);
        // What was not handed over yet is not missing: its offset was never stored.
        let partitions: Vec<Partition> = lanes.0.into_keys().collect();
        if !self.flight.leave(&partitions, DRAIN) {
            tracing::warn!(
                "batches are still under way; they will be handled again after a restart"
            );
        }
        self.workers.join();
        polled
    }

    fn poll(&mut self, lanes: &mut Lanes) -> Result<(), kafka::Error> {
        let consumer = Arc::clone(&self.consumer);
        while !self.stop.is_cancelled() {
            while let Ok(rewind) = self.rewinds.try_recv() {
                self.rewind(rewind, lanes);
            }
            let polled = consumer.poll(lanes.patience())?;
            // A rebalance happens inside poll: it is taken note of before the record, which may
            // already be of the new assignment.
            while let Ok(notice) = self.notices.try_recv() {
                self.note(notice, lanes);
            }
            match polled {
                Polled::Record(record) => self.take(&record, lanes),
                Polled::End(partition) => self.end(partition, lanes),
                Polled::Nothing => self.hand_over_all(lanes),
            }
        }
        Ok(())
    }

    fn note(&mut self, notice: Notice, lanes: &mut Lanes) {
        // Not a member any more, until it has joined again.
        let is_lost = matches!(notice, Notice::Lost(_));
        match notice {
            Notice::Assigned(assigned) => {
                self.metrics.rebalanced();
                let partitions: Vec<_> = assigned.iter().map(|one| one.partition).collect();
                self.assigned.gained(&partitions, self.restores.is_some());
                tracing::info!(?partitions, "partitions assigned");
                if let Some(restores) = &mut self.restores {
                    for one in &assigned {
                        let tenure = self.tenures.of(one.partition);
                        let restore = restores.assigned(one);
                        if let Some(restore) = &restore {
                            self.workers.restore(Arc::clone(restore));
                        }
                        let lane = Lane::new(self.consumer.topic(), one.partition, tenure, restore);
                        lanes.0.insert(one.partition, lane);
                    }
                    restores.set_latch();
                }
                self.readiness.set("group", true);
            }
            Notice::Revoking(partitions) | Notice::Lost(partitions) => {
                self.metrics.rebalanced();
                tracing::info!(?partitions, "partitions revoked");
                if is_lost {
                    self.readiness.set("group", false);
                }
                self.assigned.lost(&partitions);
                for partition in partitions {
                    self.metrics.revoked(partition);
                    lanes.0.remove(&partition);
                    self.workers.revoke(partition);
                    if let Some(restores) = &mut self.restores {
                        restores.revoked(partition);
                    }
                }
            }
            Notice::Lag(partition, records) => self.metrics.lag(partition, records),
        }
    }

    fn take(&mut self, record: &Consumed<'_>, lanes: &mut Lanes) {
        let partition = record.partition();
        let lane = lanes.0.entry(partition).or_insert_with(|| {
            let tenure = self.tenures.of(partition);
            Lane::new(self.consumer.topic(), partition, tenure, None)
        });
        if lane.is_closed_to(record) {
            self.hand_over(partition, lane);
        }
        if lane.push(record) {
            self.hand_over(partition, lane);
            self.look_around(lanes);
        }
    }

    /// Only a restore is interested in the end of a partition: its last records may be missing.
    fn end(&mut self, partition: Partition, lanes: &mut Lanes) {
        if let Some(lane) = lanes.0.get_mut(&partition)
            && lane.is_restoring()
        {
            self.hand_over(partition, lane);
            lane.ended();
            self.look_around(lanes);
        }
    }

    fn hand_over_all(&mut self, lanes: &mut Lanes) {
        for (&partition, lane) in &mut lanes.0 {
            self.hand_over(partition, lane);
        }
        self.look_around(lanes);
    }

    /// What the workers have come to in the meantime.
    fn look_around(&mut self, lanes: &mut Lanes) {
        self.resume_some(lanes);
        let restored = self.restores.as_mut().map(Restores::look);
        for partition in restored.into_iter().flatten() {
            self.assigned.restored(partition);
            if let Some(lane) = lanes.0.get_mut(&partition) {
                lane.restored();
            }
        }
    }

    pub(super) fn hand_over(&self, partition: Partition, lane: &mut Lane) {
        let Some(parcel) = lane.take() else {
            return;
        };
        self.flight.take_off(partition);
        lane.ahead.handed_over(parcel.batch.byte_len());
        if !self.workers.send(parcel) {
            self.stop.cancel();
        }
        lane.ahead.are_left(self.flight.under_way(partition));
        if !lane.paused && lane.ahead.is_too_much() {
            lane.paused = true;
            self.consumer.pause(partition);
        }
    }

    fn resume_some(&self, lanes: &mut Lanes) {
        for (&partition, lane) in &mut lanes.0 {
            if !lane.paused {
                continue;
            }
            lane.ahead.are_left(self.flight.under_way(partition));
            if lane.ahead.is_little() {
                lane.paused = false;
                self.consumer.resume(partition);
            }
        }
    }
}

/// What each assigned partition has open.
#[derive(Default)]
pub(super) struct Lanes(pub(super) BTreeMap<Partition, Lane>);

impl Lanes {
    /// With a batch open, none: it is handed over as soon as nothing more is waiting.
    fn patience(&self) -> Duration {
        let mut patience = IDLE;
        for lane in self.0.values() {
            if lane.is_open() {
                return Duration::ZERO;
            }
            if lane.paused {
                patience = PAUSED;
            }
        }
        patience
    }
}
