//! Messages can be read as they were sent.

use eventos_testkit::{header_list, raw::now};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
    types::RDKafkaErrorCode,
};

use super::{on_both, subject::to};

#[test]
fn empty_keys_and_values_and_none_at_all_stay_apart() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.producer(&[]);
        for key in [None, Some(&b""[..]), Some(b"k")] {
            for value in [None, Some(&b""[..]), Some(b"v")] {
                let mut record = to(&topic);
                (record.key, record.payload) = (key, value);
                subject.send(&producer, record).expect("sent");
            }
        }
        let there = subject.read(&topic, 0, "read_committed");
        let pair = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(<[u8]>::len);
        let pairs = there.iter().map(|r| (pair(&r.key), pair(&r.value)));
        pairs.collect::<Vec<_>>()
    })
    .agree_on(vec![
        (None, None),
        (None, Some(0)),
        (None, Some(1)),
        (Some(0), None),
        (Some(0), Some(0)),
        (Some(0), Some(1)),
        (Some(1), None),
        (Some(1), Some(0)),
        (Some(1), Some(1)),
    ]);
}

#[test]
fn headers_keep_their_order_their_duplicates_and_their_nulls() {
    let sent: [(&str, Option<&[u8]>); 5] = [
        ("b", Some(b"1")),
        ("a", None),
        ("b", Some(b"")),
        ("", Some(b"no name")),
        ("b", Some(b"\xff\x00")),
    ];
    on_both(|subject| {
        let topic = subject.topic(1);
        let headers = sent.iter().fold(OwnedHeaders::new(), |all, &(key, value)| {
            all.insert(Header { key, value })
        });
        let record = to(&topic).payload(b"x").headers(headers);
        subject.send(&subject.producer(&[]), record).expect("sent");
        let mut there = subject.read(&topic, 0, "read_committed");
        there.remove(0).headers
    })
    .agree_on(header_list(&sent));
}

#[test]
fn any_bytes_pass_through_key_and_value() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let all: Vec<u8> = (0..=255).collect();
        let record = to(&topic).key(&all).payload(&all);
        subject.send(&subject.producer(&[]), record).expect("sent");
        let there = subject.read(&topic, 0, "read_committed").remove(0);
        (there.key == Some(all.clone()), there.value == Some(all))
    })
    .agree_on((true, true));
}

#[test]
fn the_producers_time_is_kept_however_old() {
    let times = [1, 1_000_000_000_000, 999_999_999_999];
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("retention.ms", "-1")]);
        let producer = subject.producer(&[]);
        for time in times {
            let record = to(&topic).payload(b"x").timestamp(time);
            subject.send(&producer, record).expect("sent");
        }
        let there = subject.read(&topic, 0, "read_committed");
        there.iter().map(|r| r.timestamp).collect::<Vec<_>>()
    })
    .agree_on(times.iter().map(|time| Some(*time)).collect());
}

#[test]
fn a_time_more_than_an_hour_ahead_is_refused() {
    let minute = 60_000;
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.producer(&[]);
        [50, 70].map(|ahead| {
            let record: FutureRecord<'_, [u8], [u8]> = to(&topic).payload(b"x");
            subject.send(&producer, record.timestamp(now() + ahead * minute))
        })
    })
    .agree_on([Ok(0), Err(RDKafkaErrorCode::InvalidTimestamp)]);
}
