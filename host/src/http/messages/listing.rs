//! What `GET /messages` and `GET /peers/messages` are asked for.

use std::num::NonZeroUsize;

use serde::{Deserialize, Deserializer};

use crate::{
    event::Partitions,
    http::query::{encoded, from_text, parsed},
    store::{Cursor, Filter, Order, PartitionFilter, Scan},
};

const DEFAULT_LIMIT: usize = 1000;

/// The query of both.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::http) struct Listing {
    pub(super) tipo: Option<String>,
    pub(super) id: Option<String>,
    #[serde(with = "OrderText")]
    pub(super) order: Order,
    #[serde(deserialize_with = "limit")]
    pub(super) limit: usize,
    #[serde(deserialize_with = "from_text")]
    pub(super) after: Option<Cursor>,
    /// The partitions that a peer asks for. `GET /messages` lists all of them and refuses this parameter.
    #[serde(deserialize_with = "from_text")]
    pub(super) partitions: Option<Partitions>,
}

/// An [`Order`] in a query.
#[derive(Deserialize)]
#[serde(remote = "Order", rename_all = "lowercase")]
enum OrderText {
    Asc,
    Desc,
}

impl Listing {
    /// Returns the listing of the newest Evento with an id.
    pub(super) fn newest(id: String) -> Self {
        Self {
            id: Some(id),
            order: Order::Desc,
            limit: 1,
            ..Self::default()
        }
    }

    /// Returns the filter for the store, within some of the partitions.
    pub(super) fn filter(&self, within: PartitionFilter) -> Filter {
        Filter {
            tipo: self.tipo.clone(),
            id: self.id.clone(),
            within,
        }
    }

    /// Returns a scan of the Eventos that `filter` lets through, in the order of this listing.
    pub(super) fn scan(&self, filter: Filter) -> Scan {
        Scan::new(filter, self.order, self.after.clone())
    }

    /// Returns the query that asks a peer for its part. It asks for one Evento more than the limit, which shows whether
    /// there are more.
    pub(super) fn query_for_peer(&self, partitions: &Partitions) -> String {
        let order = match self.order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        };
        let pairs = [
            ("partitions", Some(partitions.to_string())),
            ("tipo", self.tipo.clone()),
            ("id", self.id.clone()),
            ("order", Some(order.to_owned())),
            ("limit", Some(self.limit.saturating_add(1).to_string())),
            ("after", self.after.as_ref().map(Cursor::to_string)),
        ];
        let given = pairs.into_iter();
        encoded(given.filter_map(|(name, value)| Some((name, value?))))
    }
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            tipo: None,
            id: None,
            order: Order::default(),
            limit: DEFAULT_LIMIT,
            after: None,
            partitions: None,
        }
    }
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    parsed(deserializer, "a number from 1 up", |text| {
        text.parse().ok().map(NonZeroUsize::get)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query;

    #[test]
    fn a_peer_reads_what_was_asked_for() {
        let text = "tipo=a%26b&id=%C3%A9&order=desc&limit=7&after=0:1,3:4.2";
        let read = |query: &str| -> Listing {
            let uri = format!("/messages?{query}").parse().expect("a URI");
            query::read(&uri).expect("valid")
        };
        let asked = read(text);
        assert_eq!(asked.partitions, None);
        let partitions = "0-2,5".parse().expect("partitions");
        let read = read(&asked.query_for_peer(&partitions));
        let expected = Listing {
            limit: 8,
            partitions: Some(partitions),
            ..asked
        };
        assert_eq!(read, expected);
        assert_eq!((read.order, read.id.as_deref()), (Order::Desc, Some("é")));
    }
}
