//! Tests of the bounds, and of redelivered batches.

use super::*;

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
