//! What a redrive came to, as JSON.

use serde::Serialize;

use super::super::problem::Problem;
use crate::{
    dead_letters::{Account, Fate, Page, Position},
    event::Partition,
};

/// See [`super::super`].
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    dry_run: bool,
    /// In a dry run those that would be.
    pub redriven: usize,
    pub skipped: usize,
    pub failed: usize,
    letters: Vec<Told>,
    more: bool,
    /// What to give under the same names to go on.
    after: String,
    before: String,
}

/// What became of one letter.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    letter: Position,
    #[serde(flatten)]
    status: Status,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Status {
    Redriven { to: Position },
    WouldBeRedriven { to_partition: Partition },
    Skipped { why: String },
    Failed { problem: Problem },
}

impl Answer {
    pub(super) fn new(dry_run: bool, accounts: Vec<Account>, page: &Page) -> Self {
        let letters: Vec<_> = accounts.into_iter().map(Told::from).collect();
        let count =
            |is: fn(&Status) -> bool| letters.iter().filter(|told| is(&told.status)).count();
        let skipped = count(|status| matches!(status, Status::Skipped { .. }));
        let failed = count(|status| matches!(status, Status::Failed { .. }));
        Self {
            dry_run,
            redriven: letters.len() - skipped - failed,
            skipped,
            failed,
            letters,
            more: page.more,
            after: page.next.to_string(),
            before: page.end.to_string(),
        }
    }
}

impl From<Account> for Told {
    fn from(Account { letter, fate }: Account) -> Self {
        let status = match fate {
            Fate::Redriven(to) => Status::Redriven {
                to: Position {
                    partition: to.partition,
                    offset: to.offset,
                },
            },
            Fate::Chosen(to_partition) => Status::WouldBeRedriven { to_partition },
            Fate::Skipped(why) => Status::Skipped { why },
            Fate::Failed(error) => {
                let problem = Problem::from(error);
                problem.log();
                Status::Failed { problem }
            }
        };
        Self { letter, status }
    }
}
