//! The rules of one transaction, and that its changes make it again.

use crate::coordinator::offsets::Committed;
use crate::coordinator::transaction::TransactionError;
use crate::coordinator::transaction::change::{self, Change};
use crate::coordinator::transaction::metadata::{End, Phase, Transaction};
use crate::ids::{Offset, PartitionId, Producer, ProducerId};
use crate::record::control_batch::Outcome;
use proptest::prelude::*;

fn producer(epoch: i16) -> Producer {
    Producer {
        id: ProducerId(5),
        epoch,
    }
}

fn partitions(time: i64) -> Change {
    Change::Partitions {
        partitions: vec![("t".to_owned(), PartitionId(0))],
        time,
    }
}

fn prepared(outcome: Outcome) -> Change {
    Change::Prepared {
        outcome,
        epoch: 3,
        time: 20,
    }
}

/// One of epoch 3 with a timeout of 100 ms, to which this has happened.
fn after(changes: &[Change]) -> Transaction {
    let mut transaction = Transaction::new(producer(3));
    transaction.apply(Change::Began {
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

/// The name of an error, which has no equality of its own.
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
    let committed = [open.clone(), prepared(Commit), Change::Completed];
    for (changes, add, commit, abort, begin) in [
        (&[][..], "()", "State", "State", "Anew"),
        (
            std::slice::from_ref(&open),
            "()",
            "Prepare",
            "Prepare",
            "Anew",
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
        (&committed, "()", "Done", "State", "Anew"),
    ] {
        let transaction = after(changes);
        let what = format!("{:?}", transaction.phase);
        let me = producer(3);
        assert_eq!(name(transaction.may_add(me)), add, "{what}");
        assert_eq!(name(transaction.may_end(me, Commit)), commit, "{what}");
        assert_eq!(name(transaction.may_end(me, Abort)), abort, "{what}");
        assert_eq!(name(transaction.may_begin(None)), begin, "{what}");
        assert_eq!(name(transaction.may_add(producer(2))), "Fenced", "{what}");
        assert_eq!(name(transaction.may_add(producer(4))), "Fenced", "{what}");
        let other = Producer {
            id: ProducerId(6),
            epoch: 3,
        };
        assert_eq!(
            name(transaction.may_end(other, Commit)),
            "Mapping",
            "{what}"
        );
    }
}

#[test]
fn offsets_come_after_their_group_and_while_it_is_open() {
    let group = Change::Group {
        group: "g".to_owned(),
        time: 5,
    };
    let may = |changes: &[Change]| name(after(changes).may_commit(producer(3), "g"));
    assert_eq!(may(&[partitions(1)]), "State");
    assert_eq!(may(std::slice::from_ref(&group)), "()");
    let done = [group, prepared(Outcome::Commit), Change::Completed];
    assert_eq!(may(&done), "State");
}

#[test]
fn a_producer_that_goes_on_must_be_the_last_or_the_one_before() {
    let mut transaction = after(&[]);
    let begin = |t: &Transaction, expected| name(t.may_begin(Some(expected)));
    assert_eq!(begin(&transaction, producer(3)), "Anew");
    assert_eq!(begin(&transaction, producer(2)), "Fenced");
    transaction.apply(Change::Began {
        producer: producer(4),
        previous: Some(producer(3)),
        timeout_ms: 100,
        time: 2,
    });
    // The answer was lost.
    assert_eq!(begin(&transaction, producer(3)), "AsTold");
    transaction.apply(partitions(3));
    assert_eq!(begin(&transaction, producer(3)), "Fenced");
}

#[test]
fn used_up_epochs_lead_to_a_new_id() {
    let take = || Ok::<_, ()>(ProducerId(6));
    let of = |epoch| Transaction::new(producer(epoch)).successor(take).unwrap();
    assert_eq!(of(3), producer(4));
    assert_eq!(of(i16::MAX - 2), producer(i16::MAX - 1));
    for epoch in [i16::MAX - 1, i16::MAX] {
        assert_eq!((of(epoch).id, of(epoch).epoch), (ProducerId(6), 0));
    }
    assert_eq!(
        Transaction::new(producer(i16::MAX - 1)).fenced(),
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
        let committed = |offset| Committed {
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
                1 | 2 => Change::Group { group, time: i },
                3 => Change::Offsets { group: "g1".to_owned(), commits: vec![(("t".to_owned(), PartitionId(1)), committed(i))] },
                4 => prepared(Outcome::Abort),
                5 => prepared(Outcome::Commit),
                _ => Change::Completed,
            };
            let me = transaction.producer;
            let may = match &change {
                Change::Began { .. } | Change::Partitions { .. } | Change::Group { .. } => transaction.may_add(me).is_ok(),
                Change::Offsets { group, .. } => transaction.may_commit(me, group).is_ok(),
                Change::Prepared { outcome, .. } => matches!(transaction.may_end(me, *outcome), Ok(End::Prepare)),
                Change::Completed => matches!(transaction.phase, Phase::Prepared(_)),
            };
            if may {
                transaction.apply(change);
            }
        }
        let mut again = Transaction::new(producer(0));
        for change in transaction.changes() {
            let mut bytes = Vec::new();
            change::put(&mut bytes, "id", Some(&change));
            // The journal's own head is eight bytes.
            let read = change::read(&bytes[8..]);
            prop_assert_eq!(read, Some(("id".to_owned(), Some(change.clone()))));
            again.apply(change);
        }
        // When an open one last changed, nobody asks.
        again.updated = transaction.updated;
        if !matches!(transaction.phase, Phase::Ongoing | Phase::Prepared(_)) {
            again.started = transaction.started;
        }
        prop_assert_eq!(again, transaction);
    }
}
