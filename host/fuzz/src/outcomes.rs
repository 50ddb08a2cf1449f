//! Any columns as the answer of a handler.

use crate::{
    event::{Outcome, Outcomes, Records, Texts, Verdict},
    input::Input,
};

/// Checks what a handler may have answered: columns of any bytes and numbers. What is accepted can be read.
///
/// # Panics
/// Panics if it cannot.
pub fn outcomes(bytes: &[u8]) {
    let mut input = Input(bytes);
    let n = usize::from(input.byte());
    let outcomes = Outcomes {
        kinds: input.bytes(),
        reasons: Texts {
            bytes: input.bytes(),
            ends: input.numbers(),
        },
        replacement_ends: input.numbers(),
        replacements: Records {
            bytes: input.bytes(),
            key_ends: input.numbers(),
            value_ends: input.numbers(),
            flags: input.bytes(),
            timestamps: input.numbers().into_iter().map(i64::from).collect(),
            header_ends: input.numbers(),
            header_name_ends: input.numbers(),
            header_value_ends: input.numbers(),
            header_nulls: input.bytes(),
        },
    };
    if outcomes.check(n).is_err() {
        return;
    }
    assert_eq!(outcomes.verdicts().count(), n);
    for verdict in outcomes.verdicts() {
        if let Verdict::Replace(records) = verdict {
            for record in records {
                record.headers.for_each(drop);
            }
        }
    }
    assert_eq!(
        outcomes.all_pass(),
        outcomes.iter().all(|it| it == Outcome::Pass)
    );
}
