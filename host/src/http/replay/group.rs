//! A replay of the whole group: each instance is told to rewind its own part, and what they say is put together.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::{join, join_all};

use super::Group;
use crate::{
    peers::{Command, Division, Fault, Peer, PeerUrl},
    replay::{Error, Fate, MEDIA_TYPE, Rewound, Targets, Told},
};

/// How long a peer may take: what is under way there is waited for, ten seconds at most, and then it is committed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reason is cut off there: a part of it was written by others.
const LONGEST_REASON: usize = 300;

impl Group {
    /// Rewinds each partition where it is, everywhere at the same time; what became of each, by number ascending.
    ///
    /// # Errors
    /// [`Error::Busy`]; nothing was rewound then.
    pub(super) async fn rewind(&self, targets: Targets) -> Result<Vec<Rewound>, Error> {
        let division = self.peers.division().await;
        // What is no peer's is ours, or our own pipeline knows that it is not.
        let (mut ours, mut theirs) = (targets, Vec::new());
        for Peer { url, partitions } in &division.peers {
            let part = ours.extract_if(.., |partition, _| partitions.contains(*partition));
            let part: Targets = part.collect();
            if !part.is_empty() {
                theirs.push(self.rewind_at(url, part));
            }
        }
        let ours = self.replays.rewind(ours)?;
        let (ours, theirs) = join(ours, join_all(theirs)).await;
        let ours = ours.into_iter().map(|one| explained(one, &division));
        let mut all: Vec<_> = ours.chain(theirs.into_iter().flatten()).collect();
        all.sort_by_key(|one| one.partition);
        Ok(all)
    }

    /// Has a peer rewind its part; something is said of each partition of it, and of no other.
    async fn rewind_at(&self, url: &PeerUrl, part: Targets) -> Vec<Rewound> {
        let body = serde_json::to_vec(&part).expect("numbers are JSON");
        let command = Command {
            path: "/peers/replay",
            media_type: MEDIA_TYPE,
            body: body.into(),
            patience: PATIENCE,
        };
        let said = self.peers.tell(url, command).await;
        let said = said.and_then(|report| {
            serde_json::from_slice(&report)
                .map_err(|error| Fault::Foreign(format!("no JSON of a replay: {error}")))
        });
        if let Err(fault) = &said {
            tracing::warn!(%url, %fault, "a peer does not say what it rewound");
        }
        gathered(url, part, said)
    }
}

/// What is to be told of a peer's part, after what it said.
fn gathered(url: &PeerUrl, part: Targets, said: Result<Vec<Told>, Fault>) -> Vec<Rewound> {
    let said = match said {
        Ok(said) => said,
        Err(fault) => return Rewound::all(part.into_keys(), &left_undone(url, &fault)),
    };
    let said = said.into_iter().map(|told| (told.partition, told));
    let mut said: BTreeMap<_, _> = said.collect();
    let each = part.into_iter().map(|(partition, to)| {
        let told = said.remove(&partition);
        let fate = match told.and_then(|told| told.believed(to)) {
            Some(Fate::Elsewhere(_)) => {
                let why = "had it a moment ago, and does not have it now: the group is sharing out anew; try again";
                Fate::Elsewhere(format!("{url} {why}"))
            }
            Some(Fate::Failed(why)) => Fate::Failed(plain(&format!("{url}: {why}"))),
            Some(fate) => fate,
            None => {
                let what = format!("it does not say what became of partition {partition}");
                left_undone(url, &Fault::Foreign(what))
            }
        };
        Rewound { partition, fate }
    });
    each.collect()
}

/// Of a partition whose owner did not do it, or did not say so.
fn left_undone(url: &PeerUrl, fault: &Fault) -> Fate {
    let why = plain(&format!("{url} has it, and {fault}"));
    match fault {
        Fault::Unreachable(_) => Fate::Elsewhere(why),
        Fault::Foreign(_) => Fate::Failed(why),
        Fault::Slow(_) | Fault::Broken(_) => {
            Fate::Failed(format!("{why}; it may be rewound there all the same"))
        }
    }
}

/// Where this instance does not have it, says who does, as far as that is known.
fn explained(rewound: Rewound, division: &Division) -> Rewound {
    let Rewound { partition, fate } = rewound;
    let missing = division.missing.iter();
    let mut reasons = missing.filter(|missing| {
        // Without any it is about all that are not ours.
        missing.partitions.is_empty() || missing.partitions.contains(partition)
    });
    let fate = match (fate, reasons.next()) {
        (Fate::Elsewhere(_), Some(missing)) => Fate::Elsewhere(plain(&missing.reason)),
        (fate, _) => fate,
    };
    Rewound { partition, fate }
}

/// A text that others had a part in, as it may be shown in a terminal.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(LONGEST_REASON).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Offset, Partition, Partitions},
        peers::Missing,
    };

    fn part() -> Targets {
        [(Partition(1), Offset(7)), (Partition(4), Offset(0))].into()
    }

    /// What is told of the part of partitions 1 and 4, a text for each.
    fn told(said: Result<&str, Fault>) -> Vec<String> {
        let url = "http://b:1".parse().expect("a URL");
        let said = said.map(|json| serde_json::from_str(json).expect(json));
        let each = gathered(&url, part(), said).into_iter();
        each.map(|one| format!("{} {:?}", one.partition, one.fate))
            .collect()
    }

    #[test]
    fn a_peer_is_believed_of_its_part_alone() {
        let said = r#"[
            {"partition":4,"status":"failed","records":0,"why":"at\u001b[31m work"},
            {"partition":0,"status":"rewound","from":9,"to":0,"records":9},
            {"partition":1,"status":"rewound","from":9,"to":7,"records":2000}
        ]"#;
        assert_eq!(
            told(Ok(said)),
            [
                "1 Rewound(Offset(9), Offset(7))",
                r#"4 Failed("http://b:1: at?[31m work")"#,
            ]
        );
    }

    #[test]
    fn what_it_does_not_say_or_says_otherwise_has_failed() {
        let said = r#"[{"partition":1,"status":"rewound","from":9,"to":0,"records":9}]"#;
        for (line, partition) in told(Ok(said)).iter().zip([1, 4]) {
            let named = format!("what became of partition {partition}");
            assert!(line.starts_with(&format!("{partition} Failed(")), "{line}");
            assert!(
                line.contains("http://b:1 has it") && line.contains(&named),
                "{line}"
            );
        }
    }

    #[test]
    fn one_that_lost_it_cannot_be_reached_or_does_not_say_is_named() {
        let lost = r#"[{"partition":1,"status":"elsewhere","records":0,"why":"not mine"},
                       {"partition":4,"status":"unchanged","from":0,"to":0,"records":0}]"#;
        let lost = told(Ok(lost));
        assert!(
            lost[0].starts_with(r#"1 Elsewhere("http://b:1 had it"#),
            "{lost:?}"
        );
        assert_eq!(lost[1], "4 Unchanged(Offset(0))");
        let maybe = "it may be rewound there all the same";
        for (fault, fate, says, unsure) in [
            (
                Fault::Unreachable("refused".to_owned()),
                "Elsewhere",
                "cannot be reached: refused",
                false,
            ),
            (
                Fault::Foreign("status 404".to_owned()),
                "Failed",
                "status 404",
                false,
            ),
            (
                Fault::Slow(PATIENCE),
                "Failed",
                "does not answer within 20s",
                true,
            ),
            (
                Fault::Broken("reset".to_owned()),
                "Failed",
                "breaks off: reset",
                true,
            ),
        ] {
            for line in told(Err(fault)) {
                assert!(
                    line.contains(&format!("{fate}(\"http://b:1 has it, and ")),
                    "{line}"
                );
                assert!(
                    line.contains(says) && line.contains(maybe) == unsure,
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn what_nobody_can_be_told_to_do_says_who_has_it() {
        let fate_of = |fate: Fate, missing: &[(&str, &str)]| {
            let missing = missing.iter().map(|(partitions, reason)| Missing {
                partitions: partitions.parse().expect("partitions"),
                reason: (*reason).to_owned(),
            });
            let division = Division {
                ours: Partitions::below(1),
                missing: missing.collect(),
                ..Division::default()
            };
            let partition = Partition(3);
            explained(Rewound { partition, fate }, &division).fate
        };
        let elsewhere = |why: &str| Fate::Elsewhere(why.to_owned());
        let missing = [("2", "nobody"), ("3-4", "a \u{7}stranger")];
        assert_eq!(fate_of(elsewhere("?"), &missing), elsewhere("a ?stranger"));
        assert_eq!(fate_of(elsewhere("mine"), &missing[..1]), elsewhere("mine"));
        let unknown = [("-", "no broker")];
        assert_eq!(fate_of(elsewhere("?"), &unknown), elsewhere("no broker"));
        // It is ours by now.
        let rewound = Fate::Rewound(Offset(9), Offset(0));
        assert_eq!(fate_of(rewound.clone(), &missing), rewound);
    }
}
