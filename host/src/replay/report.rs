//! What became of partitions, as the daemon writes it and the command reads it.

use serde::{Deserialize, Serialize};

use crate::event::{Offset, Partition};

/// The media type of what one instance asks of another, and of the answer: targets, and an array of [`Told`]. A change of
/// the format gives it another name.
pub const MEDIA_TYPE: &str = "application/vnd.eventos.replay-1+json";

/// What became of a partition.
#[derive(Clone, Debug)]
pub struct Rewound {
    /// Which.
    pub partition: Partition,
    /// What became of it.
    pub fate: Fate,
}

impl Rewound {
    /// The same became of each.
    pub fn all(partitions: impl IntoIterator<Item = Partition>, fate: &Fate) -> Vec<Self> {
        let one = |partition| Self {
            partition,
            fate: fate.clone(),
        };
        partitions.into_iter().map(one).collect()
    }
}

/// What became of a partition, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stood at the first, and stands at the second: that is handled next.
    Rewound(Offset, Offset),
    /// It would be.
    WouldBeRewound(Offset, Offset),
    /// It stands there, and nothing before that was asked for.
    Unchanged(Offset),
    /// Nobody who has it was told, for this reason.
    Elsewhere(String),
    /// It stands where it stood, for this reason.
    Failed(String),
}

/// What a replay came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Nothing was rewound.
    pub dry_run: bool,
    /// Some partitions were left out.
    pub partial: bool,
    /// How many offsets are handled again; there may be fewer records.
    pub records: i64,
    /// One each.
    pub partitions: Vec<Told>,
}

/// What became of one partition.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub partition: Partition,
    /// `rewound`, `would_be_rewound`, `unchanged`, `elsewhere` or `failed`.
    pub status: String,
    /// Where it stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Offset>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Offset>,
    /// How many offsets lie between.
    pub records: i64,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Answer {
    /// Of what became of each partition.
    #[must_use]
    pub fn new(dry_run: bool, rewound: Vec<Rewound>) -> Self {
        let partitions: Vec<_> = rewound.into_iter().map(Told::from).collect();
        Self {
            dry_run,
            partial: partitions.iter().any(|told| told.why.is_some()),
            // What others tell of may be any number.
            records: partitions
                .iter()
                .fold(0, |sum, told| told.records.saturating_add(sum)),
            partitions,
        }
    }
}

impl Told {
    /// What another instance says that became of a partition that it was to take back to `to`; None if no instance says
    /// that.
    #[must_use]
    pub fn believed(self, to: Offset) -> Option<Fate> {
        let at = self.from.zip(self.to);
        match (self.status.as_str(), at, self.why) {
            ("rewound", Some((from, at)), None) if at == to && from > to => {
                Some(Fate::Rewound(from, to))
            }
            ("unchanged", Some((from, at)), None) if from == at && at <= to => {
                Some(Fate::Unchanged(at))
            }
            ("elsewhere", None, Some(why)) => Some(Fate::Elsewhere(why)),
            ("failed", None, Some(why)) => Some(Fate::Failed(why)),
            _ => None,
        }
    }
}

impl From<Rewound> for Told {
    fn from(Rewound { partition, fate }: Rewound) -> Self {
        let (status, places, why) = match fate {
            Fate::Rewound(from, to) => ("rewound", Some((from, to)), None),
            Fate::WouldBeRewound(from, to) => ("would_be_rewound", Some((from, to)), None),
            Fate::Unchanged(at) => ("unchanged", Some((at, at)), None),
            Fate::Elsewhere(why) => ("elsewhere", None, Some(why)),
            Fate::Failed(why) => ("failed", None, Some(why)),
        };
        let (from, to) = places.unzip();
        Self {
            partition,
            status: status.to_owned(),
            from,
            to,
            records: places.map_or(0, |(from, to)| from.0 - to.0),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Option<Fate> {
        let told: Told = serde_json::from_str(json).expect(json);
        told.believed(Offset(7))
    }

    #[test]
    fn what_an_instance_writes_is_believed() {
        for fate in [
            Fate::Rewound(Offset(9), Offset(7)),
            Fate::Unchanged(Offset(7)),
            Fate::Unchanged(Offset(3)),
            Fate::Elsewhere("gone".to_owned()),
            Fate::Failed("busy".to_owned()),
        ] {
            let partition = Partition(1);
            let told = Told::from(Rewound {
                partition,
                fate: fate.clone(),
            });
            assert_eq!(told.believed(Offset(7)), Some(fate));
        }
    }

    #[test]
    fn what_none_would_write_is_not() {
        for rest in [
            // To somewhere else, forward, or without a place.
            r#""status":"rewound","from":9,"to":0"#,
            r#""status":"rewound","from":7,"to":7"#,
            r#""status":"rewound","from":3,"to":7"#,
            r#""status":"rewound""#,
            // It was to go back, and stands after that.
            r#""status":"unchanged","from":9,"to":9"#,
            r#""status":"unchanged","from":7,"to":6"#,
            // Nothing is rehearsed there.
            r#""status":"would_be_rewound","from":9,"to":7"#,
            r#""status":"failed""#,
            r#""status":"failed","from":9,"to":7,"why":"x""#,
            r#""status":"elsewhere""#,
            r#""status":"lost","why":"x""#,
        ] {
            let json = format!(r#"{{"partition":1,"records":0,{rest}}}"#);
            assert_eq!(told(&json), None, "{json}");
        }
    }

    #[test]
    fn numbers_that_another_made_up_do_not_overflow() {
        let huge = |partition| Rewound {
            partition: Partition(partition),
            fate: Fate::Rewound(Offset(i64::MAX), Offset(0)),
        };
        let answer = Answer::new(false, vec![huge(0), huge(1)]);
        assert_eq!((answer.records, answer.partial), (i64::MAX, false));
    }
}
