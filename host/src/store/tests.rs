//! The store against a model that is a sorted list.

use bytesize::ByteSize;
use proptest::prelude::*;

use super::*;
use crate::event::{Offset, Partition, RawBatch, Timestamp};

/// An Evento as the model keeps it, in the order of the whole: order time, partition, offset, n.
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
    /// How far back from the last offset it begins: more than 0 is a redelivery.
    back: i64,
    /// Gap to the next offset, timestamp, id, tipo, how often it is stored.
    records: Vec<(i64, i64, u8, u8, usize)>,
}

#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    next: std::collections::BTreeMap<i32, i64>,
}

fn append() -> impl Strategy<Value = Append> {
    let back = prop_oneof![8 => Just(0), 1 => 0..6i64];
    let record = (1..3i64, 0..40i64, 0..4u8, 0..3u8, 0..3usize);
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

fn within() -> impl Strategy<Value = Within> {
    let some = || proptest::collection::btree_set((0..4i32).prop_map(Partition), 0..3);
    prop_oneof![
        Just(Within::All),
        some().prop_map(|these| Within::Only(these.into_iter().collect())),
        some().prop_map(|these| Within::Except(these.into_iter().collect())),
    ]
}

impl Model {
    fn append(&mut self, append: &Append, store: &Store) {
        let number = append.partition;
        let next = self.next.get(&number).copied().unwrap_or(0);
        let first = (next - append.back).max(0);
        self.kept
            .retain(|kept| kept.partition != number || kept.offset < first);
        let mut raw = RawBatch::new("eventos".into(), Partition(number));
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
                Timestamp(timestamp),
                0,
            );
            for n in 0..times {
                if n == 0 {
                    once.push(i)
                } else {
                    again.insert(0, i)
                }
                self.keep(Kept {
                    time: timestamp,
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
        let (batch, unreadable) = raw.read();
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

/// A page, and whether it was the last.
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

    /// Pages, with appends in between, on changing instances: everything once, nothing missed.
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
        // What came late with an old timestamp stands later than in the order, but it stands.
        read.sort();
        expected.sort();
        prop_assert_eq!(read, expected);
    }

    /// Downwards, what is appended meanwhile is not part of it.
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

    /// Two instances that hear the partitions in another order show the same.
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
            // What is gone is not forgotten by the model: it still counts for the order time.
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
    let mut raw = RawBatch::new("eventos".into(), Partition(partition));
    for offset in offsets {
        raw.push(
            Offset(offset),
            None,
            Some(value.as_bytes()),
            [],
            Timestamp(offset),
            0,
        );
    }
    raw.read().0
}

#[test]
fn memory_stays_within_its_bound_and_single_appends_cost_little() {
    let bound = 1 << 20;
    let store = Store::new(&Config {
        max_bytes: ByteSize(bound),
        ..Config::default()
    });
    let value = format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(70));
    for offset in 0..30_000 {
        let partition = (offset % 8) as i32;
        store.append(&[(&batch(partition, offset..offset + 1, &value), &[0])]);
        assert!(store.bytes() <= bound, "{}", store.bytes());
    }
    assert!(store.events() > 4_000, "{} in 1 MiB", store.events());
}

#[test]
fn an_evento_beyond_the_bound_leaves_an_empty_store() {
    let store = Store::new(&Config {
        max_bytes: ByteSize::kib(16),
        ..Config::default()
    });
    let value = format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(1 << 20));
    store.append(&[(&batch(0, 0..1, &value), &[0])]);
    assert_eq!(store.events(), 0);
    assert!(store.bytes() < 16 << 10);
}

#[test]
fn a_redelivery_takes_back_even_where_it_stores_nothing() {
    let store = store(100);
    let value = r#"{"id":1,"tipo":"t"}"#;
    store.append(&[(&batch(0, 0..10, value), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])]);
    store.append(&[(&batch(0, 6..8, value), &[])]);
    assert_eq!(store.events(), 6);
    store.append(&[(&batch(0, 8..9, value), &[0])]);
    assert_eq!(store.events(), 7);
}

#[test]
fn many_of_one_offset_are_told_apart_across_segments() {
    let store = store(64);
    let value = r#"{"id":1,"tipo":"t"}"#;
    store.append(&[(&batch(0, 5..6, value), &[0; 100])]);
    let mut scan = Scan::new(Filter::default(), Order::Asc, None);
    assert_eq!(page(&store, &mut scan, 50).0.len(), 50);
    assert_eq!(scan.cursor().to_string(), "0:5.86");
    assert_eq!(page(&store, &mut scan, 50).0.len(), 14);
    assert_eq!(scan.cursor().to_string(), "0:6");
}

/// What a restart appends: of each partition what lies at or after where its view began.
fn rebuilt(shown: &Store, max: u64, appends: &[Batch], order: &[usize]) -> Store {
    let rebuilt = store(max);
    let next = |number| {
        let mut of = appends.iter().filter(|batch| batch.partition == number);
        of.next_back()
            .map_or(Offset(0), |last| Offset(last.offsets[last.len() - 1] + 1))
    };
    let starts: Vec<_> = (0..3)
        .map(|number| shown.view_start(Partition(number), next(Partition(number))))
        .collect();
    for (number, &start) in (0..).zip(&starts) {
        rebuilt.restore(Partition(number), start);
    }
    for &i in order {
        let batch = &appends[i];
        let start = starts[batch.partition.0 as usize].offset.0;
        let from = batch.offsets.partition_point(|&offset| offset < start);
        let rest = batch.slice(from..batch.len());
        let all: Vec<u32> = (0..).take(rest.len()).collect();
        rebuilt.append(&[(&rest, &all)]);
    }
    rebuilt
}

proptest! {
    /// However little it holds, and in whatever order the partitions come back.
    #[test]
    fn from_where_the_view_began_the_same_view_is_rebuilt(
        records in proptest::collection::vec((0..3i32, 0..40i64), 1..60),
        max in 1..40u64,
        by_partition in any::<bool>(),
    ) {
        let store = store(max);
        let mut next = [0i64; 3];
        let appends: Vec<_> = records
            .iter()
            .enumerate()
            .map(|(i, &(number, timestamp))| {
                let offset = &mut next[number as usize];
                let value = format!(r#"{{"id":{i},"tipo":"t"}}"#);
                let mut raw = RawBatch::new("eventos".into(), Partition(number));
                raw.push(Offset(*offset), None, Some(value.as_bytes()), [], Timestamp(timestamp), 0);
                *offset += 1;
                raw.read().0
            })
            .collect();
        appends.iter().for_each(|batch| store.append(&[(batch, &[0])]));
        let mut order: Vec<usize> = (0..appends.len()).collect();
        if by_partition {
            order.sort_by_key(|&i| -appends[i].partition.0);
        }
        let rebuilt = rebuilt(&store, max, &appends, &order);
        let everything = Filter::default();
        prop_assert_eq!(all(&rebuilt, &everything, Order::Asc), all(&store, &everything, Order::Asc));
        prop_assert_eq!(rebuilt.events(), store.events());
    }
}

#[test]
fn a_partition_that_leaves_takes_its_eventos_along_and_a_cursor_keeps_its_place() {
    let store = store(100);
    let value = r#"{"id":1,"tipo":"t"}"#;
    let whole = batch(1, 0..10, value);
    store.append(&[(&batch(0, 0..3, value), &[0, 1, 2])]);
    store.append(&[(&whole, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])]);
    let mut scan = Scan::new(Filter::default(), Order::Asc, None);
    assert_eq!(page(&store, &mut scan, 10).0.len(), 10);
    let start = store.view_start(Partition(1), Offset(10));
    store.remove(Partition(1));
    assert_eq!(
        (store.events(), store.count(&Filter::default())),
        (3, Some(3))
    );
    assert_eq!(page(&store, &mut scan, 10).0.len(), 0);

    // While it comes back, what was read is not read again, and what was not still is.
    store.restore(Partition(1), start);
    assert_eq!(page(&store, &mut scan, 10).0.len(), 0);
    store.append(&[(&whole.slice(0..5), &[0, 1, 2, 3, 4])]);
    assert_eq!(page(&store, &mut scan, 10).0.len(), 0);
    store.append(&[(&whole.slice(5..10), &[0, 1, 2, 3, 4])]);
    store.restored(Partition(1));
    assert_eq!(page(&store, &mut scan, 10).0.len(), 3);
}

#[test]
fn the_view_of_a_partition_that_stores_nothing_begins_where_it_is() {
    let store = store(100);
    let nowhere = store.view_start(Partition(0), Offset(7));
    assert_eq!((nowhere.offset, nowhere.time), (Offset(7), Timestamp::NONE));
    let value = r#"{"id":1,"tipo":"t"}"#;
    store.append(&[(&batch(0, 0..7, value), &[])]);
    assert_eq!(store.view_start(Partition(0), Offset(7)), nowhere);
    store.append(&[(&batch(0, 7..9, value), &[1])]);
    let start = store.view_start(Partition(0), Offset(9));
    assert_eq!((start.offset, start.time), (Offset(8), Timestamp(8)));
}
