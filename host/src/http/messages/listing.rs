//! What was asked for.

use std::num::NonZeroUsize;

use crate::{
    event::Partitions,
    http::{
        problem::{INVALID_QUERY, Problem},
        query::{Parameters, refused},
    },
    store::{Cursor, Filter, Order, PartitionFilter, Scan},
};

const DEFAULT_LIMIT: usize = 1000;

/// What `GET /messages` was asked for.
pub(super) struct Listing {
    pub(super) filter: Filter,
    pub(super) order: Order,
    pub(super) limit: usize,
    pub(super) after: Option<Cursor>,
}

impl Listing {
    /// The query parameters that it reads.
    pub(super) const KNOWN: [&str; 5] = ["tipo", "id", "limit", "after", "order"];

    pub(super) fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let text = |name| parameters.get(name).map(str::to_owned);
        let order = match parameters.get("order") {
            None | Some("asc") => Order::Asc,
            Some("desc") => Order::Desc,
            Some(other) => return Err(refused(format!("order is {other:?}, not asc or desc"))),
        };
        let limit = match parameters.get("limit").map(|given| (given, given.parse())) {
            None => DEFAULT_LIMIT,
            Some((_, Ok(limit))) => NonZeroUsize::get(limit),
            Some((given, Err(_))) => {
                return Err(refused(format!(
                    "limit is {given:?}, not a number from 1 up"
                )));
            }
        };
        let cursor = parameters.get("after").map(str::parse::<Cursor>);
        let after = cursor.transpose().map_err(|fault| {
            Problem::new(INVALID_QUERY, format!("query parameter after: {fault}"))
        })?;
        let filter = Filter {
            tipo: text("tipo"),
            id: text("id"),
            within: PartitionFilter::All,
        };
        Ok(Self {
            filter,
            order,
            limit,
            after,
        })
    }

    /// The newest with an id.
    pub(super) fn newest(id: String) -> Self {
        Self {
            filter: Filter {
                id: Some(id),
                ..Filter::default()
            },
            order: Order::Desc,
            limit: 1,
            after: None,
        }
    }

    /// The same, of some of the partitions.
    pub(super) fn filter_within(&self, within: PartitionFilter) -> Filter {
        Filter {
            within,
            ..self.filter.clone()
        }
    }

    /// A way through what this filter lets through.
    pub(super) fn scan(&self, filter: Filter) -> Scan {
        Scan::new(filter, self.order, self.after.clone())
    }

    /// The query that asks another instance for some more than the limit: whether there is more is known then.
    pub(super) fn of_peer(&self, partitions: &Partitions) -> String {
        let mut query = Parameters::default();
        query.set("partitions", &partitions.to_string());
        for (name, text) in [("tipo", &self.filter.tipo), ("id", &self.filter.id)] {
            if let Some(text) = text {
                query.set(name, text);
            }
        }
        let order = match self.order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        };
        query.set("order", order);
        query.set("limit", &self.limit.saturating_add(1).to_string());
        if let Some(after) = &self.after {
            query.set("after", &after.to_string());
        }
        query.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_reads_what_was_asked_for() {
        let text = "tipo=a%26b&id=%C3%A9&order=desc&limit=7&after=0:1,3:4.2";
        let parameters = Parameters::parse(Some(text), &Listing::KNOWN).expect("valid");
        let asked = Listing::read(&parameters).expect("valid");
        let query = asked.of_peer(&"0-2,5".parse().expect("partitions"));
        let known = [&Listing::KNOWN[..], &["partitions"]].concat();
        let parameters = Parameters::parse(Some(&query), &known).expect("valid");
        assert_eq!(parameters.get("partitions"), Some("0-2,5"));
        let read = Listing::read(&parameters).expect("valid");
        assert_eq!((read.filter, read.order), (asked.filter, Order::Desc));
        assert_eq!((read.limit, read.after), (8, asked.after));
    }
}
