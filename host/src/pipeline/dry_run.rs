//! A dry run: a handler without a broker. Batches, halving, retries and limits are those of the daemon, but the effects do not
//! happen; they are reported record by record.

use std::{collections::BTreeMap, sync::Arc, thread, time::Instant};

use super::{
    chain_step::ChainStep,
    effects::{Effects, Emitted},
    observer::{Attempt, Observer},
    passage::{ChainProgress, Turn},
    shutdown::Undone,
};
use crate::{
    event::{
        Batch, DeadLetterReason, EventoLimits, Header, Offset, Outcome, Partition, RecordRef,
        Records, Timestamp, TopicPartition, flag,
    },
    plugin::Handler,
    telemetry::{
        capture::{HandlerLine, LogCapture},
        metrics::Metrics,
    },
};

/// A handler, and the batch that is being filled for it. The records are of partition 0, with offsets from 0 on.
pub struct DryRun {
    step: ChainStep,
    open: Batch,
    next: Offset,
    lines: LogCapture,
    remarks: Vec<HandlerLine>,
}

/// The result of one record.
#[derive(Clone, Debug)]
pub struct RecordReport {
    /// The offset of the record; that of the first one is 0.
    pub offset: Offset,
    /// The id of the Evento; empty if it has none.
    pub id: String,
    /// Whether the `id` is a JSON integer.
    pub id_is_integer: bool,
    /// How the record ended.
    pub end: RecordEnd,
    /// How often the handler was called with the record and decided about it; 0 if it never was.
    pub attempts: u32,
    /// The records that replace it, if it was replaced.
    pub records: Records,
    /// What was stored on its behalf.
    pub stored: Records,
    /// What was emitted on its behalf, with the topics.
    pub emitted: Vec<(String, Records)>,
    /// What was logged about it, in calls that returned or that had no other record.
    pub log: Vec<HandlerLine>,
    /// Why it would become a dead letter, if it would.
    pub reason: Option<DeadLetterReason>,
}

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEnd {
    /// With the last answer of the handler.
    Answered(Outcome),
    /// The call failed with this record alone, or the answer could not be carried out.
    Failed,
    /// The record is not a valid Evento, and no handler gets it.
    Unreadable,
}

impl DryRun {
    /// Prepares a dry run of a handler, whose records appear to be of `topic`, and whose Eventos have these limits. What the handler logs is taken from `lines`: see
    /// [`LogCapture::during`].
    #[must_use]
    pub fn new(
        handler: Arc<Handler>,
        topic: &str,
        limits: EventoLimits,
        lines: LogCapture,
    ) -> Self {
        let metrics = Metrics::new().handler(handler.name());
        let mut step = ChainStep::new(handler, metrics);
        step.observer = Some(Observer::new(lines.clone()));
        Self {
            step,
            open: Batch::new(TopicPartition::new(topic, Partition(0))).with_limits(limits),
            next: Offset(0),
            lines,
            remarks: Vec::new(),
        }
    }

    /// Adds a record to the open batch. If that batch has no room for it, or is full now, it is run, and its reports are
    /// returned.
    pub fn push<'h>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
        timestamp: Timestamp,
    ) -> Vec<RecordReport> {
        let mut reports = Vec::new();
        if !self.open.has_room_for(key, value) {
            reports = self.run();
        }
        let offset = self.next;
        self.next = offset.next();
        self.open.push(offset, key, value, headers, (timestamp, 0));
        if self.open.is_full() {
            reports.extend(self.run());
        }
        reports
    }

    /// Runs the open batch, if it has records. Returns one report per record, in their order.
    pub fn run(&mut self) -> Vec<RecordReport> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let empty = Batch::empty_like(&self.open);
        let mut batch = std::mem::replace(&mut self.open, empty);
        let offsets = self.next.0 - batch.len() as i64..self.next.0;
        let unreadable = batch.read();
        let mut reports = Reports::new(offsets.map(Offset), &batch);
        let mut ran = vec![(
            Effects::of_unreadable(&unreadable),
            Arc::new(Batch::empty_like(&batch)),
        )];
        let (mut rest, mut piece) = (batch, usize::MAX);
        while !rest.is_empty() {
            let (effects, next, next_piece) = self.run_step(&Arc::new(rest.clone()), piece);
            let at = effects
                .cut
                .map(|at| rest.offsets.partition_point(|&offset| offset < at.0));
            rest = rest.slice(at.unwrap_or(rest.len())..rest.len());
            piece = next_piece;
            ran.push((effects, next));
        }
        let attempts = self.step.observer.as_mut().map(Observer::take);
        reports.add_attempts(attempts.unwrap_or_default());
        for (effects, next) in ran {
            reports.add_effects(effects, &next);
        }
        self.remarks.extend(reports.add_lines(self.lines.take()));
        reports.0.into_values().collect()
    }

    /// Runs the handler on a batch. Returns the effects, what goes on, and how many records it can get at once next time.
    fn run_step(&mut self, batch: &Arc<Batch>, piece: usize) -> (Effects, Arc<Batch>, usize) {
        let mut effects = Effects::default();
        let mut progress = ChainProgress::new(0, Arc::clone(batch), batch.offset(0), piece);
        let turn = Turn::unlimited();
        loop {
            match self.step.pass(&mut progress, &mut effects, &turn) {
                Err(Undone::Parked(until)) => {
                    thread::sleep(until.saturating_duration_since(Instant::now()));
                }
                // Nothing gives up or halts the partition of a dry run.
                _ => return (effects, progress.batch, progress.next_piece),
            }
        }
    }

    /// Takes what the handler has logged or printed so far that is not about a record.
    pub fn take_remarks(&mut self) -> Vec<HandlerLine> {
        std::mem::take(&mut self.remarks)
    }
}

/// The reports of one batch, by the offsets of its records.
struct Reports(BTreeMap<Offset, RecordReport>);

impl Reports {
    /// The reports as if every valid Evento had passed: if that is so, the step says nothing about single records.
    fn new(offsets: impl Iterator<Item = Offset>, batch: &Batch) -> Self {
        let unreadable = offsets.map(|offset| (offset, RecordReport::unreadable(offset)));
        let mut reports = Self(unreadable.collect());
        for i in 0..batch.len() {
            reports.update(batch.offset(i), |report| {
                batch.id(i).clone_into(&mut report.id);
                report.id_is_integer = batch.record(i).flags & flag::INTEGER_ID != 0;
                report.end = RecordEnd::Answered(Outcome::Pass);
                report.attempts = 1;
            });
        }
        reports
    }

    fn update(&mut self, offset: Offset, update: impl FnOnce(&mut RecordReport)) {
        if let Some(report) = self.0.get_mut(&offset) {
            update(report);
        }
    }

    /// Counts the attempts. The last one of each record says how the record ended.
    fn add_attempts(&mut self, attempts: Vec<(Offset, Attempt)>) {
        let mut counts = BTreeMap::new();
        for (offset, attempt) in attempts {
            let count = counts.entry(offset).or_insert(0);
            *count += 1;
            self.update(offset, |report| {
                report.attempts = *count;
                report.end = match attempt {
                    Attempt::Answered(outcome) => RecordEnd::Answered(outcome),
                    Attempt::Failed => RecordEnd::Failed,
                };
            });
        }
    }

    fn add_effects(&mut self, effects: Effects, next: &Batch) {
        for i in 0..next.len() {
            self.update(next.offset(i), |report| {
                if report.end == RecordEnd::Answered(Outcome::Replace) {
                    report.records.push_ref(next.record(i));
                }
            });
        }
        for (batch, records) in effects.stored {
            for i in records.into_iter().map(|i| i as usize) {
                let stored = |report: &mut RecordReport| report.stored.push_ref(batch.record(i));
                self.update(batch.offset(i), stored);
            }
        }
        for Emitted {
            topic,
            sources,
            records,
            ..
        } in effects.emitted
        {
            for (source, record) in sources.into_iter().zip(records.iter()) {
                self.update(source, |report| report.add_emitted(&topic, record));
            }
        }
        for (offset, reason) in effects.dead {
            self.update(offset, |report| report.set_dead(reason));
        }
    }

    /// Adds the log lines that are about a record, and returns the others.
    fn add_lines(&mut self, lines: Vec<HandlerLine>) -> Vec<HandlerLine> {
        let (about, remarks) = lines.into_iter().partition(|line| line.offset.is_some());
        for line in Vec::into_iter(about) {
            if let Some(offset) = line.offset {
                self.update(offset, |report| report.log.push(line));
            }
        }
        remarks
    }
}

impl RecordReport {
    fn unreadable(offset: Offset) -> Self {
        Self {
            offset,
            id: String::new(),
            id_is_integer: false,
            end: RecordEnd::Unreadable,
            attempts: 0,
            records: Records::default(),
            stored: Records::default(),
            emitted: Vec::new(),
            log: Vec::new(),
            reason: None,
        }
    }

    fn add_emitted(&mut self, topic: &str, record: RecordRef<'_>) {
        let mut one = Records::default();
        one.push_ref(record);
        self.emitted.push((topic.to_owned(), one));
    }

    fn set_dead(&mut self, reason: DeadLetterReason) {
        // A replacement that is not a valid Evento cannot go on.
        if self.end == RecordEnd::Answered(Outcome::Replace) {
            self.end = RecordEnd::Failed;
        }
        self.reason = Some(reason);
    }
}
