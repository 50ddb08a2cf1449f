//! What became of partitions, as the daemon writes it and the command reads it.

use serde::{Deserialize, Serialize};

use super::{Fate, Rewound};
use crate::event::{Offset, Partition};

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

impl From<Rewound> for Told {
    fn from(Rewound { partition, fate }: Rewound) -> Self {
        let (status, places, why) = match fate {
            Fate::Rewound(from, to) => ("rewound", Some((from, to)), None),
            Fate::WouldBeRewound(from, to) => ("would_be_rewound", Some((from, to)), None),
            Fate::Unchanged(at) => ("unchanged", Some((at, at)), None),
            Fate::Elsewhere => {
                let why = "this instance does not have it: another of the group has, or it is being assigned";
                ("elsewhere", None, Some(why.to_owned()))
            }
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
