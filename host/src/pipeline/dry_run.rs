//! A handler run without a broker: batches, halving, retries and limits are those of a daemon, and instead of
//! happening, what it brings about is told record by record.

use std::{collections::BTreeMap, io, sync::Arc};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{
    assignment::{is_full, overflows},
    chain::Link,
    effects::{DeadLetter, Effects, Emitted},
    observer::{Fate, Watch},
    shutdown::Stop,
};
use crate::{
    event::{
        Batch, Header, Offset, Outcome, Partition, RawBatch, RecordRef, Records, Timestamp, flag,
    },
    plugin::Handler,
    telemetry::{
        capture::{HandlerLine, LogCapture},
        metrics::Metrics,
    },
};

/// One handler, and the batch that is being filled for it. Records are of partition 0, with offsets from 0.
pub struct Rehearsal {
    link: Link,
    open: RawBatch,
    next: Offset,
    lines: LogCapture,
    remarks: Vec<HandlerLine>,
    /// Keeps the time of the pauses before retries.
    _runtime: Runtime,
}

/// All that came of one record.
#[derive(Clone, Debug)]
pub struct Account {
    /// Which one: the first was 0.
    pub offset: Offset,
    /// Of the Evento; empty if it has none.
    pub id: String,
    /// Whether the Evento's `id` is a JSON integer.
    pub id_is_integer: bool,
    /// How it ended.
    pub end: End,
    /// How often it was handed in and decided about; 0 if it never came to the handler.
    pub attempts: u32,
    /// What goes on in its place, if it was replaced.
    pub records: Records,
    /// What was stored on its behalf.
    pub stored: Records,
    /// What was emitted on its behalf, with the topic.
    pub emitted: Vec<(String, Records)>,
    /// What was logged about it, of calls that answered or that it was alone in.
    pub log: Vec<HandlerLine>,
    /// Why it would go to the dead letters, if so.
    pub problem: Option<Problem>,
}

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The handler's last word on it.
    Answered(Outcome),
    /// The call failed with this record alone, or the answer could not be carried out.
    Failed,
    /// It is no Evento, and no handler sees it.
    Unreadable,
}

/// Why a record would go to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind: as in the header `__connect.errors.exception.class.name`.
    pub class: &'static str,
    /// Why.
    pub message: String,
    /// The guest's stack, a line a frame; empty where there is none.
    pub backtrace: String,
}

impl Rehearsal {
    /// With an instance to come of this handler, whose records appear to be of `topic`. What it logs is looked for in
    /// `lines`: see [`LogCapture::during`].
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(handler: Arc<Handler>, topic: &str, lines: LogCapture) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build()?;
        // Nothing stops a rehearsal but its end.
        let stop = Stop::new(CancellationToken::new(), runtime.handle().clone());
        let metrics = Metrics::new().handler(handler.name());
        let mut link = Link::new(handler, metrics, stop);
        link.watch = Some(Watch::new(lines.clone()));
        Ok(Self {
            link,
            open: RawBatch::new(topic.into(), Partition(0)),
            next: Offset(0),
            lines,
            remarks: Vec::new(),
            _runtime: runtime,
        })
    }

    /// Adds a record to the batch in hand. A batch that was or is full now is run: its accounts are the answer.
    pub fn push<'h>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
        timestamp: Timestamp,
    ) -> Vec<Account> {
        let mut accounts = Vec::new();
        if overflows(&self.open, key, value) {
            accounts = self.run();
        }
        let offset = self.next;
        self.next = offset.next();
        self.open.push(offset, key, value, headers, timestamp, 0);
        if is_full(&self.open) {
            accounts.extend(self.run());
        }
        accounts
    }

    /// Runs the batch in hand, if there is anything in it; one account a record, in their order.
    pub fn run(&mut self) -> Vec<Account> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let open = self.open.empty_like();
        let raw = std::mem::replace(&mut self.open, open);
        let offsets = self.next.0 - raw.len() as i64..self.next.0;
        let (batch, unreadable) = raw.read();
        let mut effects = Effects::of_unreadable(&unreadable);
        let batch = Arc::new(batch);
        let mut next = Arc::clone(&batch);
        if !batch.is_empty() {
            next = self
                .link
                .pass(Arc::clone(&batch), &mut effects)
                .expect("nothing stops a rehearsal");
        }
        let mut accounts = Accounts::new(offsets.map(Offset), &batch);
        let fates = self.link.watch.as_mut().map(Watch::take);
        accounts.fates(fates.unwrap_or_default());
        accounts.effects(effects, &next);
        self.remarks.extend(accounts.lines(self.lines.take()));
        accounts.0.into_values().collect()
    }

    /// What the handler logged or printed since the last time that is about no record.
    pub fn take_remarks(&mut self) -> Vec<HandlerLine> {
        std::mem::take(&mut self.remarks)
    }
}

/// The accounts of one batch.
struct Accounts(BTreeMap<Offset, Account>);

impl Accounts {
    /// As if all that was read had passed, since a link does not look closer when it has.
    fn new(offsets: impl Iterator<Item = Offset>, batch: &Batch) -> Self {
        let unread = offsets.map(|offset| (offset, Account::unreadable(offset)));
        let mut accounts = Self(unread.collect());
        for i in 0..batch.len() {
            accounts.change(batch.offset(i), |account| {
                batch.id(i).clone_into(&mut account.id);
                account.id_is_integer = batch.record(i).flags & flag::INTEGER_ID != 0;
                account.end = End::Answered(Outcome::Pass);
                account.attempts = 1;
            });
        }
        accounts
    }

    fn change(&mut self, offset: Offset, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.0.get_mut(&offset) {
            change(account);
        }
    }

    /// Takes the last fate of each record for how it ended.
    fn fates(&mut self, fates: Vec<(Offset, Fate)>) {
        let mut attempts = BTreeMap::new();
        for (offset, fate) in fates {
            let attempt = attempts.entry(offset).or_insert(0);
            *attempt += 1;
            self.change(offset, |account| {
                account.attempts = *attempt;
                account.end = match fate {
                    Fate::Answered(outcome) => End::Answered(outcome),
                    Fate::Failed => End::Failed,
                };
            });
        }
    }

    fn effects(&mut self, effects: Effects, next: &Batch) {
        for i in 0..next.len() {
            self.change(next.offset(i), |account| {
                if account.end == End::Answered(Outcome::Replace) {
                    account.records.push_ref(next.record(i));
                }
            });
        }
        for (batch, records) in effects.stored {
            for i in records.into_iter().map(|i| i as usize) {
                let stored = |account: &mut Account| account.stored.push_ref(batch.record(i));
                self.change(batch.offset(i), stored);
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
                self.change(source, |account| account.emit(&topic, record));
            }
        }
        for letter in effects.dead {
            self.change(letter.offset, |account| account.bury(letter));
        }
    }

    /// Answers the lines that are about no record.
    fn lines(&mut self, lines: Vec<HandlerLine>) -> Vec<HandlerLine> {
        let (about, remarks) = lines.into_iter().partition(|line| line.offset.is_some());
        for line in Vec::into_iter(about) {
            if let Some(offset) = line.offset {
                self.change(offset, |account| account.log.push(line));
            }
        }
        remarks
    }
}

impl Account {
    fn unreadable(offset: Offset) -> Self {
        Self {
            offset,
            id: String::new(),
            id_is_integer: false,
            end: End::Unreadable,
            attempts: 0,
            records: Records::default(),
            stored: Records::default(),
            emitted: Vec::new(),
            log: Vec::new(),
            problem: None,
        }
    }

    fn emit(&mut self, topic: &str, record: RecordRef<'_>) {
        let mut one = Records::default();
        one.push_ref(record);
        self.emitted.push((topic.to_owned(), one));
    }

    fn bury(&mut self, letter: DeadLetter) {
        // A replacement that is no Evento cannot go on.
        if self.end == End::Answered(Outcome::Replace) {
            self.end = End::Failed;
        }
        self.problem = Some(Problem {
            class: letter.class,
            message: letter.message,
            backtrace: letter.stacktrace,
        });
    }
}
