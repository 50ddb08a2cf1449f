//! Tests the store against a model that is a sorted list.

mod bounds;
mod rebuilt;

use bytesize::ByteSize;
use proptest::prelude::*;

use super::*;
use crate::event::{Offset, Partition, Timestamp, TopicPartition};

/// An Evento in the model, which is sorted by order time, partition, offset and n.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    time: i64,
    partition: i32,
    offset: i64,
    n: usize,
    id: String,
    tipo: String,
    value: String,
}

/// One append: records with gaps between their offsets, some of which are stored several times.
#[derive(Clone, Debug)]
struct Append {
    partition: i32,
    /// How far before the last offset it begins: more than 0 is a redelivery.
    back: i64,
    /// For each record: gap to the next offset, timestamp, id, tipo, and how often it is stored.
    records: Vec<(i64, i64, u8, u8, usize)>,
}

#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    next: std::collections::BTreeMap<i32, i64>,
}

/// A timestamp in the year 9999, which does not count for the order.
const FAR_FUTURE: i64 = 253_370_764_800_000;

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![9 => 0..40i64, 1 => FAR_FUTURE..=i64::MAX]
}

fn append() -> impl Strategy<Value = Append> {
    let back = prop_oneof![8 => Just(0), 1 => 0..6i64];
    let record = (1..3i64, timestamp(), 0..4u8, 0..3u8, 0..3usize);
    let records = proptest::collection::vec(record, 1..9);
    (0..3i32, back, records).prop_map(|(partition, back, records)| Append {
        partition,
        back,
        records,
    })
}

fn appends() -> impl Strategy<Value = Vec<Append>> {
    proptest::collection::vec(append(), 0..24)
}

fn filter() -> impl Strategy<Value = Filter> {
    let named =
        |of: &'static str| proptest::option::of((0..5u8).prop_map(move |i| format!("{of}{i}")));
    (named("t"), named(""), within()).prop_map(|(tipo, id, within)| Filter { tipo, id, within })
}

fn within() -> impl Strategy<Value = PartitionFilter> {
    let some = || proptest::collection::btree_set((0..4i32).prop_map(Partition), 0..3);
    prop_oneof![
        Just(PartitionFilter::All),
        some().prop_map(|these| PartitionFilter::Only(these.into_iter().collect())),
        some().prop_map(|these| PartitionFilter::Except(these.into_iter().collect())),
    ]
}

impl Model {
    fn append(&mut self, append: &Append, store: &Store) {
        let number = append.partition;
        let next = self.next.get(&number).copied().unwrap_or(0);
        let first = (next - append.back).max(0);
        self.kept
            .retain(|kept| kept.partition != number || kept.offset < first);
        let mut raw = Batch::new(TopicPartition::new("eventos", Partition(number)));
        let (mut once, mut again) = (Vec::new(), Vec::new());
        let mut offset = first;
        for (i, &(gap, timestamp, id, tipo, times)) in (0..).zip(&append.records) {
            // Half of the ids are integers, which are found by their digits.
            let quote = if id % 2 == 0 { "\"" } else { "" };
            let value = format!(r#"{{"id":{quote}{id}{quote},"tipo":"t{tipo}","at":{offset}}}"#);
            raw.push(
                Offset(offset),
                None,
                Some(value.as_bytes()),
                [],
                (Timestamp(timestamp), 0),
            );
            for n in 0..times {
                if n == 0 {
                    once.push(i)
                } else {
                    again.insert(0, i)
                }
                self.keep(Kept {
                    time: if timestamp < FAR_FUTURE {
                        timestamp
                    } else {
                        offset
                    },
                    partition: number,
                    offset,
                    n,
                    id: id.to_string(),
                    tipo: format!("t{tipo}"),
                    value: value.clone(),
                });
            }
            self.next.insert(number, offset + 1);
            offset += gap;
        }
        let unreadable = raw.read();
        let batch = raw;
        assert!(unreadable.offsets.is_empty());
        store.append(&[(&batch, &once), (&batch, &again)]);
    }

    fn keep(&mut self, mut kept: Kept) {
        let same = self
            .kept
            .iter()
            .filter(|other| other.partition == kept.partition);
        kept.time = same.map(|other| other.time).fold(kept.time, i64::max);
        self.kept.push(kept);
        self.kept.sort();
    }

    fn values(&self, filter: &Filter) -> Vec<String> {
        let matching = self.kept.iter().filter(|kept| {
            filter.tipo.as_ref().is_none_or(|tipo| *tipo == kept.tipo)
                && filter.id.as_ref().is_none_or(|id| *id == kept.id)
                && filter.within.admits(Partition(kept.partition))
        });
        matching.map(|kept| kept.value.clone()).collect()
    }
}

fn store(max_events: u64) -> Store {
    Store::new(&Config {
        max_events,
        ..Config::default()
    })
}

/// Returns a page, and whether it was the last.
fn page(store: &Store, scan: &mut Scan, max: usize) -> (Vec<String>, bool) {
    let (mut values, mut quota) = (Vec::new(), Quota::values(max));
    loop {
        let take = |row: Row<'_>| {
            values.push(String::from_utf8(row.value().to_vec()).expect("as it came"))
        };
        match scan.step(store, &mut quota, take) {
            Progress::Paused => {}
            progress => return (values, progress == Progress::End),
        }
    }
}

fn all(store: &Store, filter: &Filter, order: Order) -> Vec<String> {
    page(
        store,
        &mut Scan::new(filter.clone(), order, None),
        usize::MAX,
    )
    .0
}

proptest! {
    #[test]
    fn it_reads_as_the_model_does(appends in appends(), filter in filter()) {
        let (mut model, store) = (Model::default(), store(1_000));
        for append in &appends {
            model.append(append, &store);
        }
        let mut expected = model.values(&filter);
        prop_assert_eq!(all(&store, &filter, Order::Asc), expected.clone());
        prop_assert_eq!(store.events(), model.kept.len() as u64);
        if let Some(count) = store.count(&filter) {
            prop_assert_eq!(count, expected.len() as u64);
        }
        let newest = expected.last().map(|value| value.clone().into_bytes());
        prop_assert_eq!(store.latest(filter.clone()), newest);
        expected.reverse();
        prop_assert_eq!(all(&store, &filter, Order::Desc), expected);
    }

    /// Reads pages from changing instances, with appends in between: everything appears once.
    #[test]
    fn a_cursor_neither_misses_nor_repeats(
        appends in appends(),
        filter in filter(),
        sizes in proptest::collection::vec(1..9usize, 24),
    ) {
        let (mut model, here, there) = (Model::default(), store(1_000), store(900));
        let mut twin = Model::default();
        let mut cursor = None;
        let mut read = Vec::new();
        for (append, &size) in appends.iter().zip(&sizes) {
            let append = Append { back: 0, ..append.clone() };
            model.append(&append, &here);
            twin.append(&append, &there);
            let from = cursor.map(|text: String| text.parse().expect("its own"));
            let mut scan = Scan::new(filter.clone(), Order::Asc, from);
            let instance = if size % 2 == 0 { &here } else { &there };
            read.extend(page(instance, &mut scan, size).0);
            cursor = Some(scan.cursor().to_string());
        }
        let rest = Scan::new(filter.clone(), Order::Asc, cursor.map(|text| text.parse().expect("its own")));
        read.extend(page(&here, &mut { rest }, usize::MAX).0);
        let mut expected = model.values(&filter);
        // What arrived late with an old timestamp stands later than its timestamp says, but keeps its place.
        read.sort();
        expected.sort();
        prop_assert_eq!(read, expected);
    }

    /// A descending scan does not include what is appended meanwhile.
    #[test]
    fn downwards_it_is_what_was_there(appends in appends(), later in appends(), filter in filter(), size in 1..9usize) {
        let (mut model, store) = (Model::default(), store(1_000));
        for append in &appends {
            model.append(append, &store);
        }
        let mut expected = model.values(&filter);
        expected.reverse();
        let mut scan = Scan::new(filter.clone(), Order::Desc, None);
        let mut read = Vec::new();
        let mut later = later.into_iter();
        loop {
            let (values, last) = page(&store, &mut scan, size);
            read.extend(values);
            if last {
                break;
            }
            scan = Scan::new(filter.clone(), Order::Desc, Some(scan.cursor().to_string().parse().expect("its own")));
            if let Some(append) = later.next() {
                model.append(&Append { back: 0, ..append }, &store);
            }
        }
        prop_assert_eq!(read, expected);
    }

    /// Two instances that receive the partitions in a different order show the same.
    #[test]
    fn arrival_does_not_matter(appends in appends()) {
        let (here, there) = (store(1_000), store(1_000));
        let mut model = Model::default();
        appends.iter().for_each(|append| model.append(append, &here));
        let mut sorted = appends.clone();
        sorted.sort_by_key(|append| -append.partition);
        let mut model = Model::default();
        sorted.iter().for_each(|append| model.append(append, &there));
        let everything = Filter::default();
        prop_assert_eq!(all(&here, &everything, Order::Asc), all(&there, &everything, Order::Asc));
    }

    #[test]
    fn the_oldest_go_first(appends in appends(), max in 1..40u64) {
        let (mut model, store) = (Model::default(), store(max));
        let mut live: Vec<Kept> = Vec::new();
        for append in &appends {
            // The model keeps evicted Eventos, which still count for the order time.
            let before = model.kept.clone();
            model.append(&Append { back: 0, ..append.clone() }, &store);
            live.extend(model.kept.iter().filter(|kept| !before.contains(kept)).cloned());
            live.sort();
            live.drain(..live.len().saturating_sub(usize::try_from(max).expect("small")));
            let values: Vec<_> = live.iter().map(|kept| kept.value.clone()).collect();
            prop_assert_eq!(all(&store, &Filter::default(), Order::Asc), values);
            prop_assert_eq!(store.events(), live.len() as u64);
        }
    }
}

fn batch(partition: i32, offsets: std::ops::Range<i64>, value: &str) -> Batch {
    let mut raw = Batch::new(TopicPartition::new("eventos", Partition(partition)));
    for offset in offsets {
        raw.push(
            Offset(offset),
            None,
            Some(value.as_bytes()),
            [],
            (Timestamp(offset), 0),
        );
    }
    assert!(raw.read().offsets.is_empty());
    raw
}
