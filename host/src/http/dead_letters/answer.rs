//! What a redrive came to.

use super::super::problem::Problem;
use crate::dead_letters::{Account, Answer, Fate, Page, Position, Status, Told};

pub(super) fn answer(dry_run: bool, accounts: Vec<Account>, page: &Page) -> Answer<Told<Problem>> {
    let letters: Vec<Told<Problem>> = accounts.into_iter().map(Told::from).collect();
    let count = |is: fn(&Status<Problem>) -> bool| {
        letters.iter().filter(|told| is(&told.status)).count() as u64
    };
    let skipped = count(|status| matches!(status, Status::Skipped { .. }));
    let failed = count(|status| matches!(status, Status::Failed { .. }));
    Answer {
        dry_run,
        redriven: letters.len() as u64 - skipped - failed,
        skipped,
        failed,
        letters,
        more: page.more,
        after: page.next.to_string(),
        before: page.end.to_string(),
    }
}

impl From<Account> for Told<Problem> {
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
