//! Sending letters through again: to the topic and partition that their records are from, with the key, value, headers
//! and timestamp that those had, and with a history of their failures in more headers. What became of them the daemon
//! writes and the command reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Choice, DeadLetters, Page, Position, Which};
use crate::{
    event::{Header, Letter, Offset, Partition, RecordRef, Records},
    kafka::{self, Delivered, Delivery, ProduceError},
};

/// What a redrive came to; `L` is what stands for a letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer<L> {
    /// Nothing was sent.
    pub dry_run: bool,
    /// How many were sent; in a dry run those that would be.
    pub redriven: u64,
    /// How many were left out.
    pub skipped: u64,
    /// How many the broker did not take.
    pub failed: u64,
    /// One each.
    pub letters: Vec<L>,
    /// There are more.
    pub more: bool,
    /// What to give under the same names to go on.
    pub after: String,
    /// See `after`.
    pub before: String,
}

/// What became of one letter; `P` is how a problem is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told<P> {
    /// Where it is.
    #[serde(flatten)]
    pub letter: Position,
    /// What became of it.
    #[serde(flatten)]
    pub status: Status<P>,
}

/// What became of a letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status<P> {
    /// Its record was sent.
    Redriven {
        /// Where it is now.
        to: Position,
    },
    /// It would be.
    WouldBeRedriven {
        /// Where to.
        to_partition: Partition,
    },
    /// It was left out.
    Skipped {
        /// Why.
        why: String,
    },
    /// The broker did not take it.
    Failed {
        /// Why not.
        problem: P,
    },
}

/// What became of a letter.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where the letter is.
    pub letter: Position,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a letter, or would.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Its record is in the topic of Eventos again.
    Redriven(Delivered),
    /// It would be, in this partition.
    Chosen(Partition),
    /// It cannot be, or need not, and why.
    Skipped(String),
    /// The broker did not take it, or not for sure.
    Failed(ProduceError),
}

/// What is to become of a letter.
enum Plan {
    Send(Partition),
    Skip(String),
}

impl DeadLetters {
    /// Sends the chosen letters through again, as many as a page takes, in the order of their sources; each record once,
    /// however many letters it has among them. Every acknowledgement is waited for. A dry run sends nothing.
    ///
    /// The answer has an account for each letter, and the page without its records.
    ///
    /// # Errors
    /// [`kafka::Error`], if the letters cannot be read; nothing was sent then.
    pub async fn redrive(
        &self,
        choice: Choice,
        dry_run: bool,
    ) -> Result<(Vec<Account>, Page), kafka::Error> {
        let page = self.page(choice.clone()).await?;
        let mut accounts = missing(&choice, &page);
        let mut under_way = Vec::new();
        for (i, plan) in self.plan(&page) {
            let letter = page.positions[i];
            match plan {
                Plan::Skip(why) => accounts.push(Account {
                    letter,
                    fate: Fate::Skipped(why),
                }),
                Plan::Send(partition) if dry_run => accounts.push(Account {
                    letter,
                    fate: Fate::Chosen(partition),
                }),
                Plan::Send(partition) => {
                    under_way.push((letter, self.enqueue(partition, page.records.get(i))));
                }
            }
        }
        for (letter, delivery) in under_way {
            let delivered = match delivery {
                Ok(delivery) => delivery.await,
                Err(error) => Err(error),
            };
            let fate = delivered.map_or_else(Fate::Failed, Fate::Redriven);
            accounts.push(Account { letter, fate });
        }
        accounts.sort_by_key(|account| account.letter);
        let page = Page {
            records: Records::default(),
            ..page
        };
        Ok((accounts, page))
    }

    /// What is to become of each letter of the page, in the order of their sources.
    fn plan(&self, page: &Page) -> Vec<(usize, Plan)> {
        let mut plans = Vec::with_capacity(page.positions.len());
        let mut sources: BTreeMap<(Partition, Offset), usize> = BTreeMap::new();
        for i in 0..page.positions.len() {
            match self.source(page.records.get(i)) {
                Err(why) => plans.push((i, Plan::Skip(why))),
                Ok(source) => match sources.get(&source) {
                    None => {
                        sources.insert(source, i);
                    }
                    Some(&first) => {
                        let why =
                            format!("the same record as the letter {}", page.positions[first]);
                        plans.push((i, Plan::Skip(why)));
                    }
                },
            }
        }
        let each = sources.into_iter();
        plans.extend(each.map(|((partition, _), i)| (i, Plan::Send(partition))));
        plans
    }

    /// Where the letter's record is from, if it can be sent there again.
    fn source(&self, record: RecordRef<'_>) -> Result<(Partition, Offset), String> {
        let failure = Letter::read(record.headers).failure;
        let failure = failure.ok_or("no dead letter: it does not say which record it is from")?;
        let (Some(partition), Some(offset)) = (failure.partition, failure.offset) else {
            return Err("no dead letter: it does not say which record it is from".to_owned());
        };
        let (topic, own) = (&failure.topic, &self.0.cluster.config().topic);
        if topic != own {
            return Err(format!(
                "its record is from the topic {topic}, and this daemon consumes {own}"
            ));
        }
        match failure.left_out {
            None => Ok((partition, offset)),
            Some(parts) => Err(format!(
                "it was too large to hold all of its record, and is without {parts}; the record is in {topic}, \
                 partition {partition}, offset {offset}: replay that"
            )),
        }
    }

    fn enqueue(
        &self,
        partition: Partition,
        record: RecordRef<'_>,
    ) -> Result<Delivery, ProduceError> {
        let letter = Letter::read(record.headers);
        let history = letter.history_headers();
        let history = history.iter().map(|(name, text)| Header {
            name,
            value: Some(text.as_bytes()),
        });
        let headers = letter.original.iter().copied().chain(history);
        let mut again = Records::default();
        again.push(
            record.key,
            record.value,
            headers,
            record.timestamp,
            record.flags,
        );
        self.0.producer.enqueue_into(partition, &again.get(0))
    }
}

/// Of letters that were named by their positions, those that are not there.
fn missing(choice: &Choice, page: &Page) -> Vec<Account> {
    let Which::At(positions) = &choice.which else {
        return Vec::new();
    };
    let is_for_later =
        |at: &Position| page.more && page.positions.last().is_none_or(|last| last < at);
    let was_read = |at: &Position| at.offset >= choice.after.get(at.partition) && !is_for_later(at);
    let missing = positions.0.iter().copied();
    let missing = missing.filter(|at| was_read(at) && page.positions.binary_search(at).is_err());
    let why = "there is no letter at this position";
    missing
        .map(|letter| Account {
            letter,
            fate: Fate::Skipped(why.to_owned()),
        })
        .collect()
}
