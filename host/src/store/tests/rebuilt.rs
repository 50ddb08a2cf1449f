//! Tests of a view that is rebuilt after a restart or on another instance.

use super::*;

fn topic_partition(number: i32) -> TopicPartition {
    TopicPartition::new("eventos", Partition(number))
}

/// Returns what a restart appends: of each partition, what lies at or after the start of its view.
fn rebuilt(shown: &Store, max: u64, appends: &[Batch], order: &[usize]) -> Store {
    let rebuilt = store(max);
    let next = |number| {
        let mut of = appends.iter().filter(|batch| batch.partition() == number);
        of.next_back()
            .map_or(Offset(0), |last| Offset(last.offsets[last.len() - 1] + 1))
    };
    let starts: Vec<_> = (0..3)
        .map(|number| shown.view_start(&topic_partition(number), next(Partition(number))))
        .collect();
    for (number, &start) in (0..).zip(&starts) {
        rebuilt.restore(&topic_partition(number), start);
    }
    for &i in order {
        let batch = &appends[i];
        let start = starts[batch.partition().0 as usize].offset.0;
        let from = batch.offsets.partition_point(|&offset| offset < start);
        let rest = batch.slice(from..batch.len());
        let all: Vec<u32> = (0..).take(rest.len()).collect();
        rebuilt.append(&[(&rest, &all)]);
    }
    rebuilt
}

proptest! {
    /// Holds however little the view contains, and in whatever order the partitions come back.
    #[test]
    fn from_where_the_view_began_the_same_view_is_rebuilt(
        records in proptest::collection::vec((0..3i32, timestamp()), 1..60),
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
                let mut raw = Batch::new(TopicPartition::new("eventos", Partition(number)));
                raw.push(Offset(*offset), None, Some(value.as_bytes()), [], (Timestamp(timestamp), 0));
                *offset += 1;
                assert!(raw.read().offsets.is_empty());
                raw
            })
            .collect();
        appends.iter().for_each(|batch| store.append(&[(batch, &[0])]));
        let mut order: Vec<usize> = (0..appends.len()).collect();
        if by_partition {
            order.sort_by_key(|&i| -appends[i].partition().0);
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
    let start = store.view_start(&topic_partition(1), Offset(10));
    store.remove(&topic_partition(1));
    assert_eq!(
        (store.events(), store.count(&Filter::default())),
        (3, Some(3))
    );
    assert_eq!(page(&store, &mut scan, 10).0.len(), 0);

    // During the rebuild, what was read is not read again, and what was not read still is.
    store.restore(&topic_partition(1), start);
    assert_eq!(page(&store, &mut scan, 10).0.len(), 0);
    store.append(&[(&whole.slice(0..5), &[0, 1, 2, 3, 4])]);
    assert_eq!(page(&store, &mut scan, 10).0.len(), 0);
    store.append(&[(&whole.slice(5..10), &[0, 1, 2, 3, 4])]);
    store.restored(&topic_partition(1));
    assert_eq!(page(&store, &mut scan, 10).0.len(), 3);
}

#[test]
fn the_view_of_a_partition_that_stores_nothing_begins_where_it_is() {
    let store = store(100);
    let nowhere = store.view_start(&topic_partition(0), Offset(7));
    assert_eq!((nowhere.offset, nowhere.time), (Offset(7), Timestamp::NONE));
    let value = r#"{"id":1,"tipo":"t"}"#;
    store.append(&[(&batch(0, 0..7, value), &[])]);
    assert_eq!(store.view_start(&topic_partition(0), Offset(7)), nowhere);
    store.append(&[(&batch(0, 7..9, value), &[1])]);
    let start = store.view_start(&topic_partition(0), Offset(9));
    assert_eq!((start.offset, start.time), (Offset(8), Timestamp(8)));
}
