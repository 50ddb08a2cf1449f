//! Producer ids, epochs and sequence numbers (KIP-98).

use eventos_testkit::raw::{Raw, UNCOMMITTED, Verdict, verdict};
use kafka_protocol::{error::ResponseError, records::RecordBatchDecoder};

use super::{batch::Batch, on_both, subject::Subject};

/// Returns a topic, a connection, and the id of a new producer with epoch 0.
fn producer(subject: &Subject) -> (String, Raw, i64) {
    let (topic, mut raw) = (subject.topic(1), subject.raw());
    let new = raw.init_producer(None);
    assert_eq!(new.error_code, 0);
    (topic, raw, new.producer_id.0)
}

/// Produces batches of two records with these epochs and sequence numbers; returns the verdicts.
fn produced<const N: usize>(subject: &Subject, batches: [(i16, i32); N]) -> [(Verdict, i64); N] {
    let (topic, mut raw, id) = producer(subject);
    batches.map(|(epoch, sequence)| {
        let batch = Batch::of(2).from(id, epoch, sequence);
        raw.produce(&topic, 0, batch.bytes())
    })
}

const OUT_OF_ORDER: (Verdict, i64) = (Some(ResponseError::OutOfOrderSequenceNumber), -1);

#[test]
fn every_producer_gets_an_id_of_its_own_and_epoch_0() {
    on_both(|subject| {
        let mut raw = subject.raw();
        let [a, b] = [(); 2].map(|()| raw.init_producer(None));
        let codes = [a.error_code, b.error_code];
        let epochs = [a.producer_epoch, b.producer_epoch];
        (codes, epochs, a.producer_id != b.producer_id)
    })
    .agree_on(([0, 0], [0, 0], true));
}

#[test]
fn librdkafkas_idempotent_producer_numbers_its_batches() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let producer = subject.producer(&[("enable.idempotence", "true")]);
        subject.send_all(&producer, &topic, 0, &["a"]);
        subject.send_all(&producer, &topic, 0, &["b"]);
        let fetched = subject.raw().fetch(&topic, 0, 0, UNCOMMITTED);
        let mut records = fetched.records.expect("records");
        let batches = RecordBatchDecoder::decode_batch_info(&mut records).expect("batches");
        let numbers = batches.iter().map(|b| (b.producer_epoch, b.base_sequence));
        let known = batches.iter().all(|b| b.producer_id >= 0);
        (numbers.collect::<Vec<_>>(), known)
    })
    .agree_on((vec![(0, 0), (0, 1)], true));
}

#[test]
fn a_batch_sent_again_is_answered_as_before_and_not_kept_twice() {
    on_both(|subject| {
        let (topic, mut raw, id) = producer(subject);
        let first = Batch::of(2).from(id, 0, 0).bytes();
        let second = Batch::of(3).from(id, 0, 2).bytes();
        let batches = [&first, &first, &second, &first, &second];
        let results = batches.map(|batch| raw.produce(&topic, 0, batch.clone()));
        (results, subject.watermarks(&topic, 0))
    })
    .agree_on((
        [(None, 0), (None, 0), (None, 2), (None, 0), (None, 2)],
        (0, 5),
    ));
}

#[test]
fn the_last_five_batches_are_known_again_and_older_ones_are_out_of_order() {
    on_both(|subject| {
        let six = [0, 2, 4, 6, 8, 10].map(|sequence| (0, sequence));
        produced(subject, six);
        let all = [0, 2, 4, 6, 8, 10, 0, 2, 10].map(|sequence| (0, sequence));
        let results = produced(subject, all);
        [results[6], results[7], results[8]]
    })
    .agree_on([OUT_OF_ORDER, (None, 2), (None, 10)]);
}

#[test]
fn a_gap_in_the_sequence_is_refused_until_it_is_filled() {
    on_both(|subject| produced(subject, [(0, 0), (0, 4), (0, 2), (0, 4)])).agree_on([
        (None, 0),
        OUT_OF_ORDER,
        (None, 2),
        (None, 4),
    ]);
}

#[test]
fn a_batch_that_overlaps_known_ones_is_out_of_order() {
    on_both(|subject| produced(subject, [(0, 0), (0, 2), (0, 1), (0, 3)])).agree_on([
        (None, 0),
        (None, 2),
        OUT_OF_ORDER,
        OUT_OF_ORDER,
    ]);
}

#[test]
fn a_producer_that_is_not_known_may_begin_anywhere() {
    on_both(|subject| produced(subject, [(0, 7), (0, 9), (0, 0)])).agree_on([
        (None, 0),
        (None, 2),
        OUT_OF_ORDER,
    ]);
}

#[test]
fn an_older_epoch_is_fenced_and_a_newer_one_begins_at_0() {
    on_both(|subject| {
        let batches = [(1, 0), (0, 0), (2, 5), (2, 0), (1, 2), (2, 2)];
        produced(subject, batches)
    })
    .agree_on([
        (None, 0),
        (Some(ResponseError::InvalidProducerEpoch), -1),
        OUT_OF_ORDER,
        (None, 2),
        (Some(ResponseError::InvalidProducerEpoch), -1),
        (None, 4),
    ]);
}

#[test]
fn sequence_numbers_go_on_at_0_after_the_greatest() {
    on_both(|subject| {
        let last = i32::MAX;
        produced(subject, [(0, last - 2), (0, last), (0, 1), (0, last)])
    })
    .agree_on([(None, 0), (None, 2), (None, 4), (None, 2)]);
}

#[test]
fn each_partition_has_its_own_sequence() {
    on_both(|subject| {
        let (topic, mut raw) = (subject.topic(2), subject.raw());
        let id = raw.init_producer(None).producer_id.0;
        let mut to = |partition, sequence| {
            let batch = Batch::of(2).from(id, 0, sequence);
            raw.produce(&topic, partition, batch.bytes())
        };
        [to(0, 0), to(1, 0), to(0, 2), to(1, 4)]
    })
    .agree_on([(None, 0), (None, 0), (None, 2), OUT_OF_ORDER]);
}

#[test]
fn a_producer_may_lack_an_epoch_but_no_sequence() {
    on_both(|subject| {
        let (topic, mut raw, id) = producer(subject);
        [(-1, 0), (0, -1)].map(|(epoch, sequence)| {
            let batch = Batch::of(1).from(id, epoch, sequence);
            let answer = raw.produce_with(-1, None, &topic, 0, batch.bytes());
            verdict(answer.error_code)
        })
    })
    .agree_on([None, Some(ResponseError::InvalidRecord)]);
}
