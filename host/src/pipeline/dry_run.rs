//! A dry run: a handler without a broker. Batches, halving, retries and limits are those of the daemon, but the effects do not
//! happen; they are reported record by record.

use std::{collections::BTreeMap, io, sync::Arc};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{
    chain::ChainStep,
    effects::{Effects, Emitted},
    observer::{Attempt, Observer},
    shutdown::ShutdownSignal,
};
use crate::{
    event::{
        Batch, DeadLetterReason, Header, Offset, Outcome, Partition, RecordRef, Records, Timestamp,
        TopicPartition, flag,
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
    /// Drives the timers of the pauses before retries.
    _runtime: Runtime,
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
    /// Prepares a dry run of a handler, whose records appear to be of `topic`. What the handler logs is taken from `lines`: see
    /// [`LogCapture::during`].
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(handler: Arc<Handler>, topic: &str, lines: LogCapture) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build()?;
        // Nothing stops a dry run before its end.
        let shutdown = ShutdownSignal::new(CancellationToken::new(), runtime.handle().clone());
        let metrics = Metrics::new().handler(handler.name());
        let mut step = ChainStep::new(handler, metrics, shutdown);
        step.observer = Some(Observer::new(lines.clone()));
        Ok(Self {
            step,
            open: Batch::new(TopicPartition::new(topic, Partition(0))),
            next: Offset(0),
            lines,
            remarks: Vec::new(),
            _runtime: runtime,
        })
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
        let mut effects = Effects::of_unreadable(&unreadable);
        let batch = Arc::new(batch);
        let mut next = Arc::clone(&batch);
        if !batch.is_empty() {
            let passed = self.step.pass(Arc::clone(&batch), &mut effects);
            next = passed.expect("nothing stops a dry run or halts its partition");
        }
        let mut reports = Reports::new(offsets.map(Offset), &batch);
        let attempts = self.step.observer.as_mut().map(Observer::take);
        reports.add_attempts(attempts.unwrap_or_default());
        reports.add_effects(effects, &next);
        self.remarks.extend(reports.add_lines(self.lines.take()));
        reports.0.into_values().collect()
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
