//! The imports of a handler's world. Effects are staged during a call and count only when it returns.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use wasmtime::{ResourceLimiter, Result, bail, ensure};

use super::{
    bindings::eventos::handler::{
        config, emit, log, store,
        types::{self, RecordsResult},
    },
    complexity,
    epoch_clock::EpochClock,
    guest_log::GuestLog,
    log_meter::{self, LogMeter},
    messaging::GuestResources,
    random::RandomStream,
    timer::Timer,
};
use crate::{
    event::{Batch, Emission, Records, flag},
    telemetry::metrics::HandlerMetrics,
};

/// What an entry of a table costs: a pointer of the host, and as much again, since a table that grows gets more room than
/// it needs.
const TABLE_ENTRY: usize = 2 * size_of::<usize>();

/// Limits and permissions of one handler, shared by all of its instances.
pub(super) struct Limits {
    pub handler: String,
    /// Maximum size of all linear memories and tables of an instance together, in bytes.
    pub memory: usize,
    /// Maximum CPU time of a call.
    pub timeout: Duration,
    /// Interrupts a call that takes longer.
    pub clock: EpochClock,
    /// Maximum number of bytes that one call may return and stage.
    pub output: usize,
    /// Maximum stack, in bytes.
    pub stack: u64,
    pub metrics: HandlerMetrics,
    /// How much the instances log together.
    pub log: LogMeter,
    pub config: BTreeMap<String, String>,
    pub produce: Vec<String>,
}

/// The host's state for one instance.
pub(super) struct Host {
    limits: Arc<Limits>,
    /// Size of its linear memories and tables, in bytes.
    memory: usize,
    timer: Timer,
    /// What the guest writes.
    pub(super) log: GuestLog,
    /// Resources that a guest of `wasi:messaging` holds.
    pub(super) held: GuestResources,
    /// Index of the record that such a guest is handling; otherwise 0.
    in_hand: usize,
    random: RandomStream,
    call: Call,
}

/// State of the current call.
#[derive(Default)]
struct Call {
    /// `None` while `init` runs.
    batch: Option<Arc<Batch>>,
    staged: StagedEffects,
    staged_bytes: usize,
    refused_memory: Option<usize>,
    refused_output: Option<usize>,
}

/// The effects of a call that has not returned yet.
#[derive(Default)]
pub(super) struct StagedEffects {
    pub stored: Vec<u32>,
    pub emitted: Vec<Emission>,
}

impl Host {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            timer: Timer::new(limits.timeout),
            log: GuestLog::new(Arc::clone(&limits)),
            limits,
            memory: 0,
            held: GuestResources::default(),
            in_hand: 0,
            random: RandomStream::default(),
            call: Call::default(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn timer(&self) -> &Timer {
        &self.timer
    }

    /// Discards the state of the previous call, and starts the timer of this one.
    pub(super) fn begin(&mut self, batch: &Arc<Batch>) {
        self.timer = Timer::new(self.limits.timeout);
        self.take_in_hand(0);
        self.log.begin(batch.partition());
        self.call = Call {
            batch: Some(Arc::clone(batch)),
            ..Call::default()
        };
    }

    /// Notes that the guest handles this record of the batch from now on.
    pub(super) fn take_in_hand(&mut self, index: usize) {
        self.in_hand = index;
        self.random = RandomStream::default();
    }

    /// Returns the index of the record that the guest handles, if it gets them one by one; otherwise 0.
    pub(super) fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// Fills `bytes` with random numbers.
    pub(super) fn fill_random(&mut self, bytes: &mut [u8]) -> Result<()> {
        let record = self
            .call
            .batch
            .as_deref()
            .map(|batch| (batch, self.in_hand));
        self.random.fill(bytes, &self.limits.handler, record)
    }

    /// Takes the effects of the call that has just returned.
    pub(super) fn finish(&mut self) -> StagedEffects {
        std::mem::take(&mut self.call).staged
    }

    /// Returns the number of bytes that this call has staged so far.
    pub(super) fn staged_bytes(&self) -> usize {
        self.call.staged_bytes
    }

    /// Returns the number of bytes that the guest wanted when this call was refused memory.
    pub(super) fn refused_memory(&self) -> Option<usize> {
        self.call.refused_memory
    }

    /// Returns the number of bytes that would have been staged when this call exceeded its output limit.
    pub(super) fn refused_output(&self) -> Option<usize> {
        self.call.refused_output
    }

    /// Counts more memory or tables of the guest. Returns whether the limit permits that.
    fn grow(&mut self, more: usize) -> bool {
        let together = self.memory.saturating_add(more);
        let fits = together <= self.limits.memory;
        match fits {
            true => self.memory = together,
            false => self.call.refused_memory = Some(together),
        }
        fits
    }

    pub(super) fn batch(&self) -> Result<Arc<Batch>> {
        let batch = self.call.batch.as_ref().map(Arc::clone);
        batch.ok_or_else(|| wasmtime::format_err!("there is no batch yet while init runs"))
    }

    /// Counts `bytes` of staged effects, which occupy memory of the host, against the output limit.
    pub(super) fn stage(&mut self, bytes: usize) -> Result<()> {
        let (staged, limit) = (self.call.staged_bytes + bytes, self.limits.output);
        if staged > limit {
            self.call.refused_output = Some(staged);
            bail!("one call stores and emits {staged} bytes; its limit is {limit}");
        }
        self.call.staged_bytes = staged;
        Ok(())
    }

    /// Returns an error that says what to do if the handler may not emit to `topic`.
    pub(super) fn permit(&self, topic: &str) -> Result<(), String> {
        let Limits {
            handler, produce, ..
        } = &*self.limits;
        if produce.iter().any(|permitted| permitted == topic) {
            return Ok(());
        }
        Err(format!(
            "the topic {topic} is not permitted; add it to handler.{handler}.produce"
        ))
    }

    pub(super) fn emit(&mut self, emission: Emission) -> Result<()> {
        self.stage(emission.footprint())?;
        self.call.staged.emitted.push(emission);
        Ok(())
    }

    /// Runs `more`, which may add to what the guest holds, and then checks the memory limit.
    pub(super) fn hold<T>(
        &mut self,
        more: impl FnOnce(&mut GuestResources) -> Result<T>,
    ) -> Result<T> {
        let done = more(&mut self.held)?;
        let (held, limit) = (self.held.bytes(), self.limits.memory);
        if held > limit {
            self.call.refused_memory = Some(held);
            bail!("its messages have {held} bytes; its limit is {limit}");
        }
        Ok(done)
    }
}

impl types::Host for Host {}

impl store::Host for Host {
    fn append(&mut self, records: Vec<u32>) -> Result<()> {
        let batch = self.batch()?;
        self.stage(size_of_val(&records[..]))?;
        for &record in &records {
            let Some(flags) = batch.records.flags.get(record as usize) else {
                bail!(
                    "store.append: there is no record {record} in a batch of {}",
                    batch.len()
                );
            };
            ensure!(
                flags & flag::NULL_VALUE == 0,
                "store.append: record {record} is a tombstone and has nothing to store"
            );
        }
        // Nearly always this is the only call, so its list is taken as it is.
        match &mut self.call.staged.stored {
            stored if stored.is_empty() => *stored = records,
            stored => stored.extend(records),
        }
        Ok(())
    }
}

impl emit::Host for Host {
    fn send(&mut self, topic: String, sources: Vec<u32>, records: RecordsResult) -> Result<()> {
        let batch = self.batch()?;
        self.permit(&topic)
            .map_err(|refusal| wasmtime::format_err!("emit.send: {refusal}"))?;
        let records = Records::from(records);
        records
            .check()
            .map_err(|fault| wasmtime::format_err!("emit.send: {fault}"))?;
        ensure!(
            sources.len() == records.len(),
            "emit.send: {} sources for {} records",
            sources.len(),
            records.len()
        );
        if let Some(source) = sources
            .iter()
            .find(|&&source| source as usize >= batch.len())
        {
            bail!(
                "emit.send: there is no record {source} in a batch of {}",
                batch.len()
            );
        }
        self.emit(Emission {
            topic,
            sources,
            records,
        })
    }
}

/// The key under which a handler gets its own name, unless its settings have it.
const NAME_KEY: &str = "eventos.handler";

impl config::Host for Host {
    fn get(&mut self, key: String) -> Result<Option<String>> {
        let Limits {
            config, handler, ..
        } = &*self.limits;
        let name = (key == NAME_KEY).then_some(handler);
        Ok(config.get(&key).or(name).cloned())
    }

    fn all(&mut self) -> Result<Vec<(String, String)>> {
        Ok(self.limits.config.clone().into_iter().collect())
    }
}

impl log::Host for Host {
    fn write(&mut self, level: log::Level, record: Option<u32>, mut message: String) -> Result<()> {
        log_meter::cut(&mut message);
        let batch = self.call.batch.as_deref();
        let offset = batch
            .zip(record)
            .and_then(|(batch, record)| batch.offsets.get(record as usize).copied());
        self.log.add(level, offset, message);
        Ok(())
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, now: usize, desired: usize, most: Option<usize>) -> Result<bool> {
        // Growth beyond the maximum that the memory itself declares fails anyway, and takes nothing.
        let is_possible = most.is_none_or(|most| desired <= most);
        Ok(is_possible && self.grow(desired.saturating_sub(now)))
    }

    fn table_growing(&mut self, now: usize, desired: usize, most: Option<usize>) -> Result<bool> {
        let is_possible = most.is_none_or(|most| desired <= most);
        let more = desired.saturating_sub(now).saturating_mul(TABLE_ENTRY);
        Ok(is_possible && self.grow(more))
    }

    fn instances(&self) -> usize {
        complexity::MAX_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        complexity::MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        complexity::MAX_MEMORIES as usize
    }
}
