//! The options that say which letters are meant.

use clap::Args;

use super::super::client::Query;

/// Which letters are meant: those that are like all of this.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The handler that failed on it
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// The class of the failure, such as eventos.InvalidEvento
    #[arg(long)]
    class: Option<String>,
    /// The topic that its record is from
    #[arg(long)]
    topic: Option<String>,
    /// The partition that its record is from
    #[arg(long, value_name = "P")]
    partition: Option<u32>,
    /// The least offset of its record
    #[arg(long, value_name = "OFFSET")]
    from_offset: Option<u64>,
    /// The greatest offset of its record
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<u64>,
    /// The earliest time of its record, RFC 3339 or ms since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The time of its record is before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The id of the Evento that it holds
    #[arg(long)]
    id: Option<String>,
    /// The letter's own place, in place of all that; may be repeated
    #[arg(long = "at", value_name = "PARTITION:OFFSET")]
    at: Vec<String>,
    /// Letters, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Go on from there, as an earlier call said
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
}

/// The daemon gives so many letters at once.
const MAX_PAGE: u64 = 1_000;

impl Which {
    /// The query without limit and cursor.
    pub(super) fn query(&self) -> Query {
        let text = |value: &Option<String>| value.clone();
        let number = |value: Option<u64>| value.map(|it| it.to_string());
        let positions = (!self.at.is_empty()).then(|| self.at.join(","));
        let each = [
            ("handler", text(&self.handler)),
            ("class", text(&self.class)),
            ("topic", text(&self.topic)),
            ("partition", number(self.partition.map(u64::from))),
            ("from_offset", number(self.from_offset)),
            ("to_offset", number(self.to_offset)),
            ("since", text(&self.since)),
            ("until", text(&self.until)),
            ("id", text(&self.id)),
            ("positions", positions),
        ];
        let given = each.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// The query for the next page, of which so many letters are wanted yet.
pub(super) fn page(base: &Query, left: u64, after: Option<&str>) -> Query {
    let mut query = base.clone();
    query.push(("limit", left.min(MAX_PAGE).to_string()));
    query.extend(after.map(|after| ("after", after.to_owned())));
    query
}
