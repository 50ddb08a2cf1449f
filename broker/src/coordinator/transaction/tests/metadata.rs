//! Tests of the rules for one transaction, and that its changes restore it.

use proptest::prelude::*;

use crate::{
    coordinator::{
        offsets::CommittedOffset,
        transaction::{
            TransactionError,
            change::{self, TransactionChange},
            metadata::{End, TransactionMetadata, TransactionState},
        },
    },
    ids::{Offset, PartitionId, Producer, ProducerId},
    record::control_batch::Outcome,
};

fn producer(epoch: i16) -> Producer {
    Producer {
        id: ProducerId(5),
        epoch,
    }
}

fn partitions(time: i64) -> TransactionChange {
    TransactionChange::Partitions {
        partitions: vec![("t".to_owned(), PartitionId(0))],
        time,
    }
}

fn prepared(outcome: Outcome) -> TransactionChange {
    TransactionChange::Prepared {
        outcome,
        epoch: 3,
        time: 20,
    }
}

/// Returns a transaction with epoch 3 and a timeout of 100 ms after some changes.
fn after(changes: &[TransactionChange]) -> TransactionMetadata {
    let mut transaction = TransactionMetadata::new(producer(3));
    transaction.apply(TransactionChange::Began {
        producer: producer(3),
        previous: None,
        timeout_ms: 100,
        time: 1,
    });
    for change in changes {
        transaction.apply(change.clone());
    }
    transaction
}

/// Returns the name of a result, because errors cannot be compared.
fn name<T: std::fmt::Debug>(result: Result<T, TransactionError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn each_phase_allows_what_kafka_allows() {
    use Outcome::{Abort, Commit};
    let open = partitions(10);
    let committed = [open.clone(), prepared(Commit), TransactionChange::Completed];
    for (changes, add, commit, abort, begin) in [
        (&[][..], "()", "State", "State", "New"),
        (
            std::slice::from_ref(&open),
            "()",
            "Prepare",
            "Prepare",
            "New",
        ),
        (
            &[open.clone(), prepared(Commit)],
            "Concurrent",
            "Concurrent",
            "State",
            "Concurrent",
        ),
        (
            &[open.clone(), prepared(Abort)],
            "Concurrent",
            "State",
            "Concurrent",
            "Concurrent",
        ),
        (&committed, "()", "Done", "State", "New"),
    ] {
        let transaction = after(changes);
        let what = format!("{:?}", transaction.state);
        let me = producer(3);
        assert_eq!(name(transaction.check_add(me)), add, "{what}");
        assert_eq!(name(transaction.check_end(me, Commit)), commit, "{what}");
        assert_eq!(name(transaction.check_end(me, Abort)), abort, "{what}");
        assert_eq!(name(transaction.check_begin(None)), begin, "{what}");
        assert_eq!(name(transaction.check_add(producer(2))), "Fenced", "{what}");
        assert_eq!(name(transaction.check_add(producer(4))), "Fenced", "{what}");
        let other = Producer {
            id: ProducerId(6),
            epoch: 3,
        };
        assert_eq!(
            name(transaction.check_end(other, Commit)),
            "Mapping",
            "{what}"
        );
    }
}

#[test]
fn offsets_come_after_their_group_and_while_it_is_open() {
    let group = TransactionChange::Group {
        group: "g".to_owned(),
        time: 5,
    };
    let may = |changes: &[TransactionChange]| name(after(changes).check_commit(producer(3), "g"));
    assert_eq!(may(&[partitions(1)]), "State");
    assert_eq!(may(std::slice::from_ref(&group)), "()");
    let done = [
        group,
        prepared(Outcome::Commit),
        TransactionChange::Completed,
    ];
    assert_eq!(may(&done), "State");
}

#[test]
fn a_producer_that_goes_on_must_be_the_last_or_the_one_before() {
    let mut transaction = after(&[]);
    let begin = |t: &TransactionMetadata, expected| name(t.check_begin(Some(expected)));
    assert_eq!(begin(&transaction, producer(3)), "New");
    assert_eq!(begin(&transaction, producer(2)), "Fenced");
    transaction.apply(TransactionChange::Began {
        producer: producer(4),
        previous: Some(producer(3)),
        timeout_ms: 100,
        time: 2,
    });
    // The response was lost.
    assert_eq!(begin(&transaction, producer(3)), "Same");
    transaction.apply(partitions(3));
    assert_eq!(begin(&transaction, producer(3)), "Fenced");
}

#[test]
fn used_up_epochs_lead_to_a_new_id() {
    let assign = || Ok::<_, ()>(ProducerId(6));
    let of = |epoch| {
        TransactionMetadata::new(producer(epoch))
            .successor(assign)
            .unwrap()
    };
    assert_eq!(of(3), producer(4));
    assert_eq!(of(i16::MAX - 2), producer(i16::MAX - 1));
    for epoch in [i16::MAX - 1, i16::MAX] {
        assert_eq!((of(epoch).id, of(epoch).epoch), (ProducerId(6), 0));
    }
    assert_eq!(
        TransactionMetadata::new(producer(i16::MAX - 1)).fenced(),
        producer(i16::MAX)
    );
}

#[test]
fn time_runs_from_the_first_partition() {
    let transaction = after(&[partitions(50), partitions(120)]);
    assert!(!transaction.is_overdue(150));
    assert!(transaction.is_overdue(151));
    assert!(!after(&[]).is_overdue(i64::MAX));
    assert!(after(&[]).is_idle_since(1));
    assert!(!transaction.is_idle_since(i64::MAX));
}

proptest! {
    #[test]
    fn whatever_happened_its_changes_make_it_again(steps in proptest::collection::vec(0..7u8, 0..12)) {
        let committed = |offset| CommittedOffset {
            offset: Offset(offset),
            leader_epoch: -1,
            metadata: "m".to_owned(),
            time: 9,
        };
        let mut transaction = after(&[]);
        for (i, step) in (10..).zip(steps) {
            let group = format!("g{}", step % 2);
            let change = match step {
                0 => partitions(i),
                1 | 2 => TransactionChange::Group { group, time: i },
                3 => TransactionChange::Offsets { group: "g1".to_owned(), commits: vec![(("t".to_owned(), PartitionId(1)), committed(i))] },
                4 => prepared(Outcome::Abort),
                5 => prepared(Outcome::Commit),
                _ => TransactionChange::Completed,
            };
            let me = transaction.producer;
            let may = match &change {
                TransactionChange::Began { .. } | TransactionChange::Partitions { .. } | TransactionChange::Group { .. } => transaction.check_add(me).is_ok(),
                TransactionChange::Offsets { group, .. } => transaction.check_commit(me, group).is_ok(),
                TransactionChange::Prepared { outcome, .. } => matches!(transaction.check_end(me, *outcome), Ok(End::Prepare)),
                TransactionChange::Completed => matches!(transaction.state, TransactionState::Prepared(_)),
            };
            if may {
                transaction.apply(change);
            }
        }
        let mut again = TransactionMetadata::new(producer(0));
        for change in transaction.changes() {
            let mut bytes = Vec::new();
            change::put(&mut bytes, "id", Some(&change));
            // The header of a journal entry has eight bytes.
            let read = change::read(&bytes[8..]);
            prop_assert_eq!(read, Some(("id".to_owned(), Some(change.clone()))));
            again.apply(change);
        }
        // The time of the last change of an open transaction does not matter.
        again.updated = transaction.updated;
        if !matches!(transaction.state, TransactionState::Ongoing | TransactionState::Prepared(_)) {
            again.started = transaction.started;
        }
        prop_assert_eq!(again, transaction);
    }
}

#[test]
fn a_transaction_of_the_future_times_out_after_the_clock_was_set_back() {
    let year = 365 * 24 * 3_600_000;
    let mut transaction = after(&[partitions(year)]);
    assert!(!transaction.is_overdue(1_000));
    transaction.follow_clock(1_000);
    assert!(!transaction.is_overdue(1_100));
    assert!(transaction.is_overdue(1_101));
    // It is not opened anew as time goes on.
    transaction.follow_clock(1_050);
    assert!(transaction.is_overdue(1_101));
}
