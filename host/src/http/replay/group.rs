//! A replay of the whole group: every instance rewinds the partitions that it owns, and their reports are combined.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::{join, join_all};
use serde_json::Value;

use super::Group;
use crate::{
    peers::{Ownership, Peer, PeerCommand, PeerError, PeerUrl},
    replay::{Error, MEDIA_TYPE, PartitionReport, RewindOutcome, RewindTargets},
};

/// Timeout of a rewind on a peer. The peer waits up to ten seconds for batches in flight, and then commits.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum length of a reason, in characters. Part of the text may come from a peer.
const MAX_REASON: usize = 300;

impl Group {
    /// Rewinds every partition on the instance that owns it, on all instances at the same time. Returns one report per
    /// partition, in ascending order of partitions.
    ///
    /// # Errors
    /// [`Error::Busy`], and nothing was rewound.
    pub(super) async fn rewind(
        &self,
        targets: RewindTargets,
    ) -> Result<Vec<PartitionReport>, Error> {
        let ownership = self.peers.ownership().await;
        // Partitions without a known owner are treated as our own: the pipeline knows which ones it really owns.
        let (mut own, mut requests) = (targets, Vec::new());
        for Peer { url, partitions } in &ownership.peers {
            let part = own.extract_if(.., |partition, _| partitions.contains(*partition));
            let part: RewindTargets = part.collect();
            if !part.is_empty() {
                requests.push(self.rewind_on_peer(url, part));
            }
        }
        let own = self.replayer.rewind(own)?;
        let (own, others) = join(own, join_all(requests)).await;
        let own = own.into_iter().map(|one| with_owner(one, &ownership));
        let mut all: Vec<_> = own.chain(others.into_iter().flatten()).collect();
        all.sort_by_key(|one| one.partition);
        Ok(all)
    }

    /// Has a peer rewind these partitions. Returns exactly one report for each of them.
    async fn rewind_on_peer(&self, url: &PeerUrl, targets: RewindTargets) -> Vec<PartitionReport> {
        let body = serde_json::to_vec(&targets).expect("a map of numbers is valid JSON");
        let command = PeerCommand {
            path: "/peers/replay",
            media_type: MEDIA_TYPE,
            body: body.into(),
            timeout: TIMEOUT,
        };
        let response = self.peers.send_command(url, command).await;
        let reports = response.and_then(|body| {
            serde_json::from_slice(&body)
                .map_err(|error| PeerError::Unexpected(format!("malformed replay report: {error}")))
        });
        if let Err(error) = &reports {
            tracing::warn!(%url, %error, "a peer did not report its part of a replay");
        }
        checked_reports(url, targets, reports)
    }
}

/// Returns one report for each target, from the reports that a peer sent.
fn checked_reports(
    url: &PeerUrl,
    targets: RewindTargets,
    reports: Result<Vec<Value>, PeerError>,
) -> Vec<PartitionReport> {
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => return PartitionReport::for_each(targets.into_keys(), &failed(url, &error)),
    };
    // One malformed report does not spoil the others.
    let reports = reports
        .into_iter()
        .filter_map(|report| serde_json::from_value(report).ok());
    let mut by_partition: BTreeMap<_, _> = reports
        .map(|report: PartitionReport| (report.partition, report))
        .collect();
    let checked = targets.into_iter().map(|(partition, to)| {
        let report = by_partition.remove(&partition);
        let outcome = match report.and_then(|report| report.verified(to)) {
            Some(RewindOutcome::Elsewhere { .. }) => RewindOutcome::elsewhere(format!(
                "{url} owned it a moment ago but no longer does: the group is rebalancing; try again"
            )),
            Some(RewindOutcome::Failed { why }) => {
                RewindOutcome::failed(printable(&format!("{url}: {why}")))
            }
            Some(outcome) => outcome,
            None => {
                let error = format!("no valid report about partition {partition}");
                failed(url, &PeerError::Unexpected(error))
            }
        };
        PartitionReport::new(partition, outcome)
    });
    checked.collect()
}

/// Returns the outcome for a partition whose owner did not rewind it, or did not confirm that it did.
fn failed(url: &PeerUrl, error: &PeerError) -> RewindOutcome {
    let why = printable(&format!("{url} owns it and {error}"));
    match error {
        PeerError::Unreachable(_) | PeerError::NotAllowed => RewindOutcome::elsewhere(why),
        PeerError::Unexpected(_) | PeerError::Unauthorized | PeerError::TooLong => {
            RewindOutcome::failed(why)
        }
        PeerError::Timeout(_) | PeerError::Interrupted(_) | PeerError::Unproven => {
            RewindOutcome::failed(format!("{why}; it may have been rewound nevertheless"))
        }
    }
}

/// Names the owner of a partition that this instance does not own, as far as it is known.
fn with_owner(report: PartitionReport, ownership: &Ownership) -> PartitionReport {
    let RewindOutcome::Elsewhere { .. } = report.outcome else {
        return report;
    };
    let missing = ownership.missing.iter().find(|missing| {
        // An entry without partitions applies to all that this instance does not own.
        missing.partitions.is_empty() || missing.partitions.contains(report.partition)
    });
    match missing {
        None => report,
        Some(missing) => PartitionReport {
            outcome: RewindOutcome::elsewhere(printable(&missing.reason)),
            ..report
        },
    }
}

/// Shortens a text that a peer contributed to, and makes it safe to print on a terminal.
fn printable(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(MAX_REASON).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Offset, Partition, Partitions},
        peers::MissingPartitions,
    };

    /// The outcomes of partitions 1 and 4, which were to be rewound to offsets 7 and 0.
    fn outcomes(response: Result<&str, PeerError>) -> [RewindOutcome; 2] {
        let url = "http://b:1".parse().expect("a URL");
        let reports = response.map(|json| serde_json::from_str(json).expect(json));
        let targets = [(Partition(1), Offset(7)), (Partition(4), Offset(0))].into();
        let [first, second] = <[_; 2]>::try_from(checked_reports(&url, targets, reports))
            .expect("one report per partition");
        assert_eq!(
            [first.partition, second.partition],
            [Partition(1), Partition(4)]
        );
        [first.outcome, second.outcome]
    }

    fn rewound(from: i64, to: i64) -> RewindOutcome {
        let (from, to) = (Offset(from), Offset(to));
        RewindOutcome::Rewound { from, to }
    }

    #[test]
    fn a_peer_is_believed_of_its_part_alone() {
        let reports = r#"[
            {"partition":4,"status":"failed","records":0,"why":"at\u001b[31m work"},
            {"partition":0,"status":"rewound","from":9,"to":0,"records":9},
            {"partition":1,"status":"rewound","from":9,"to":7,"records":2000}
        ]"#;
        let expected = [
            rewound(9, 7),
            RewindOutcome::failed("http://b:1: at?[31m work"),
        ];
        assert_eq!(outcomes(Ok(reports)), expected);
        let report = PartitionReport::new(Partition(1), rewound(9, 7));
        assert_eq!(report.records, 2, "the peer's own number is ignored");
    }

    #[test]
    fn what_it_does_not_say_or_says_otherwise_has_failed() {
        let reports = r#"[
            {"partition":1,"status":"rewound","from":9,"to":0,"records":9},
            {"partition":4,"status":"invented"}
        ]"#;
        for (outcome, partition) in outcomes(Ok(reports)).into_iter().zip([1, 4]) {
            let RewindOutcome::Failed { why } = outcome else {
                panic!("{outcome:?}");
            };
            let expected = format!("no valid report about partition {partition}");
            assert!(
                why.contains("http://b:1 owns it") && why.contains(&expected),
                "{why}"
            );
        }
    }

    #[test]
    fn one_that_lost_it_cannot_be_reached_or_does_not_say_is_named() {
        let lost = r#"[{"partition":1,"status":"elsewhere","records":0,"why":"not mine"},
                       {"partition":4,"status":"unchanged","from":0,"to":0,"records":0}]"#;
        let [lost, unchanged] = outcomes(Ok(lost));
        assert!(
            matches!(&lost, RewindOutcome::Elsewhere { why } if why.starts_with("http://b:1 owned it")),
            "{lost:?}"
        );
        assert_eq!(unchanged, RewindOutcome::unchanged(Offset(0)));
        let unreachable = PeerError::Unreachable("refused".to_owned());
        let why = format!("http://b:1 owns it and {unreachable}");
        for outcome in outcomes(Err(unreachable)) {
            assert_eq!(outcome, RewindOutcome::elsewhere(&*why));
        }
        let maybe = "; it may have been rewound nevertheless";
        for (error, note) in [
            (PeerError::Unexpected("status 404".to_owned()), ""),
            (PeerError::Timeout(TIMEOUT), maybe),
            (PeerError::Interrupted("reset".to_owned()), maybe),
        ] {
            let why = format!("http://b:1 owns it and {error}{note}");
            for outcome in outcomes(Err(error)) {
                assert_eq!(outcome, RewindOutcome::failed(&*why));
            }
        }
    }

    #[test]
    fn what_nobody_can_be_told_to_do_says_who_has_it() {
        let outcome_of = |outcome: RewindOutcome, missing: &[(&str, &str)]| {
            let missing = missing
                .iter()
                .map(|(partitions, reason)| MissingPartitions {
                    partitions: partitions.parse().expect("partitions"),
                    reason: (*reason).to_owned(),
                });
            let ownership = Ownership {
                ours: Partitions::below(1),
                missing: missing.collect(),
                ..Ownership::default()
            };
            with_owner(PartitionReport::new(Partition(3), outcome), &ownership).outcome
        };
        let elsewhere = RewindOutcome::elsewhere;
        let missing = [("2", "nobody"), ("3-4", "a \u{7}stranger")];
        assert_eq!(
            outcome_of(elsewhere("?"), &missing),
            elsewhere("a ?stranger")
        );
        assert_eq!(
            outcome_of(elsewhere("mine"), &missing[..1]),
            elsewhere("mine")
        );
        let unknown = [("-", "no broker")];
        assert_eq!(outcome_of(elsewhere("?"), &unknown), elsewhere("no broker"));
        // This instance owns it by now.
        assert_eq!(outcome_of(rewound(9, 0), &missing), rewound(9, 0));
    }
}
