//! What the results of a group mean for each of its records. The broker rejects a batch as a whole, and does not always
//! say which record is to blame.

use std::collections::{BTreeMap, BTreeSet};

use crate::{event::Partition, kafka::ProduceError};

/// What the broker did with a record that was sent in a group.
#[derive(Clone, Debug)]
pub(super) struct SentResult<'t> {
    pub(super) topic: &'t str,
    /// The partition, if it is known. All records of the group for one partition were in one batch.
    pub(super) partition: Option<Partition>,
    /// Why the record was not accepted, if it was not.
    pub(super) error: Option<ProduceError>,
}

/// What the result of a record in a group means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    /// The broker rejects this very record.
    Guilty(ProduceError),
    /// The broker rejects this record or another one of its batch. Sending fewer of them together shows which.
    Suspect,
    /// The broker rejects the batch for its size, which says nothing about the record.
    Crowded,
    /// The broker rejected another record of its batch.
    Innocent,
    /// It may be accepted later.
    Later(ProduceError),
}

/// What is known of the records of one batch that the broker rejected.
#[derive(Default)]
struct RejectedBatch {
    records: usize,
    /// Whether the broker named the records to blame: the others have an error of their own.
    is_named: bool,
}

/// Returns the verdict about each record of a group.
pub(super) fn judge(results: &[SentResult<'_>]) -> Vec<Verdict> {
    let mut rejected: BTreeMap<(&str, Partition), RejectedBatch> = BTreeMap::new();
    for result in results {
        if let (Some(partition), Some(error)) = (result.partition, &result.error) {
            let batch = rejected.entry((result.topic, partition)).or_default();
            batch.records += 1;
            batch.is_named |= *error == ProduceError::OtherRecordRefused;
        }
    }
    let each = results.iter().map(|result| {
        let batch = result
            .partition
            .and_then(|partition| rejected.get(&(result.topic, partition)));
        // A record without a partition was rejected by the client, which looks at single records.
        let is_alone = batch.is_none_or(|batch| batch.records == 1);
        let is_named = batch.is_some_and(|batch| batch.is_named);
        match result.error.clone() {
            None => Verdict::Accepted,
            Some(ProduceError::OtherRecordRefused) => Verdict::Innocent,
            // A permission is missing for the whole topic.
            Some(error @ ProduceError::NotPermitted) => Verdict::Guilty(error),
            Some(error) if !error.is_final() => Verdict::Later(error),
            Some(error) if is_alone => Verdict::Guilty(error),
            Some(ProduceError::TooLarge) => Verdict::Crowded,
            Some(error) if is_named => Verdict::Guilty(error),
            Some(_) => Verdict::Suspect,
        }
    });
    each.collect()
}

/// Names the records to blame among suspects: those that the settings of the topic exclude. The other records of their
/// batches are innocent.
pub(super) fn single_out(
    verdicts: &mut [Verdict],
    results: &[SentResult<'_>],
    is_excluded: impl Fn(usize) -> bool,
) {
    let mut resolved = BTreeSet::new();
    for (i, result) in results.iter().enumerate() {
        if verdicts[i] == Verdict::Suspect
            && let Some(error) = &result.error
            && is_excluded(i)
        {
            verdicts[i] = Verdict::Guilty(error.clone());
            resolved.insert((result.topic, result.partition));
        }
    }
    for (verdict, result) in verdicts.iter_mut().zip(results) {
        if *verdict == Verdict::Suspect && resolved.contains(&(result.topic, result.partition)) {
            *verdict = Verdict::Innocent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(partition: i32, error: Option<ProduceError>) -> SentResult<'static> {
        SentResult {
            topic: "t",
            partition: Some(Partition(partition)),
            error,
        }
    }

    fn refused() -> ProduceError {
        ProduceError::Refused("no key".to_owned())
    }

    #[test]
    fn a_record_is_guilty_only_if_it_is_alone_or_named() {
        let other = || Some(ProduceError::OtherRecordRefused);
        let results = [
            // Partition 0: no record is named. Partition 1: one is. Partition 2: it is alone. Partition 3: accepted.
            result(0, Some(refused())),
            result(0, Some(refused())),
            result(1, other()),
            result(1, Some(refused())),
            result(2, Some(refused())),
            result(3, None),
        ];
        use Verdict::{Accepted, Guilty, Innocent, Suspect};
        let expected = [
            Suspect,
            Suspect,
            Innocent,
            Guilty(refused()),
            Guilty(refused()),
            Accepted,
        ];
        assert_eq!(judge(&results), expected);
    }

    #[test]
    fn a_batch_that_is_too_large_condemns_no_record_but_its_only_one() {
        let large = || Some(ProduceError::TooLarge);
        let results = [result(0, large()), result(0, large()), result(1, large())];
        let guilty = Verdict::Guilty(ProduceError::TooLarge);
        assert_eq!(
            judge(&results),
            [Verdict::Crowded, Verdict::Crowded, guilty]
        );
    }

    #[test]
    fn suspects_are_innocent_if_another_one_is_excluded() {
        let results = [0, 0, 1, 1].map(|partition| result(partition, Some(refused())));
        let mut verdicts = judge(&results);
        single_out(&mut verdicts, &results, |i| i == 1);
        use Verdict::{Guilty, Innocent, Suspect};
        assert_eq!(verdicts, [Innocent, Guilty(refused()), Suspect, Suspect]);
    }

    #[test]
    fn what_the_client_rejects_is_about_the_record() {
        let rejected = SentResult {
            partition: None,
            ..result(0, Some(refused()))
        };
        let unavailable = ProduceError::Unavailable("gone".to_owned());
        let results = [rejected, result(0, Some(unavailable.clone()))];
        let expected = [Verdict::Guilty(refused()), Verdict::Later(unavailable)];
        assert_eq!(judge(&results), expected);
    }
}
