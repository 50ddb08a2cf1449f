//! The options that select dead letters.

use clap::Args;

use super::super::client::Query;

/// The selected letters: those that match all of the options.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Letters of this handler
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Letters with this class of failure, such as eventos.InvalidEvento
    #[arg(long)]
    class: Option<String>,
    /// Letters whose record came from this topic
    #[arg(long)]
    topic: Option<String>,
    /// Letters whose record came from this partition
    #[arg(long, value_name = "P")]
    partition: Option<u32>,
    /// Letters whose record had this offset or a higher one
    #[arg(long, value_name = "OFFSET")]
    from_offset: Option<u64>,
    /// Letters whose record had this offset or a lower one
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<u64>,
    /// Letters whose record has this timestamp or a later one (RFC 3339, or milliseconds since 1970)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Letters whose record has an earlier timestamp
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Letters of the Evento with this id
    #[arg(long)]
    id: Option<String>,
    /// The letter at this position in the dead-letter topic, instead of the options above; may be repeated
    #[arg(long = "at", value_name = "PARTITION:OFFSET")]
    at: Vec<String>,
    /// Maximum number of letters
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// Continue after this cursor, which an earlier call printed
    #[arg(long, value_name = "CURSOR")]
    pub(super) after: Option<String>,
}

/// The largest page of the daemon, in letters.
const MAX_PAGE: u64 = 1_000;

impl SelectionArgs {
    /// Returns the query, without limit and cursor.
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

/// Returns the query for the next page, if `remaining` letters are still wanted.
pub(super) fn page(base: &Query, remaining: u64, after: Option<&str>) -> Query {
    let mut query = base.clone();
    query.push(("limit", remaining.min(MAX_PAGE).to_string()));
    query.extend(after.map(|after| ("after", after.to_owned())));
    query
}
