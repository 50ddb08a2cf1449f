//! Producing: the partitions that messages go to, and the messages that are refused.

use bytes::{BufMut, BytesMut};
use eventos_testkit::{
    DEADLINE, eventually,
    raw::{UNCOMMITTED, verdict},
};
use kafka_protocol::error::ResponseError;
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};

use super::{
    batch::Batch,
    on_both,
    subject::{Subject, code, texts, to},
};

#[test]
fn a_message_is_kept_with_any_acks_and_its_offset_told_unless_they_are_0() {
    on_both(|subject| {
        let topic = subject.topic(1);
        // The message with acks=0 is the last one.
        let results = ["1", "all", "0"].map(|acks| {
            let producer = subject.producer(&[("acks", acks)]);
            subject.send(&producer, to(&topic).payload(acks.as_bytes()))
        });
        eventually("the third", || {
            (subject.watermarks(&topic, 0).1 == 3).then_some(())
        });
        let there = subject.read(&topic, 0, "read_committed");
        (results, texts(&there).join(" "))
    })
    .agree_on(([Ok(0), Ok(1), Ok(-1001)], "1 all 0".to_owned()));
}

#[test]
fn acks_that_are_no_such_number_are_refused() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let answer = subject
            .raw()
            .produce_with(2, None, &topic, 0, Batch::of(1).bytes());
        (verdict(answer.error_code), subject.watermarks(&topic, 0))
    })
    .agree_on((Some(ResponseError::InvalidRequiredAcks), (0, 0)));
}

#[test]
fn a_topic_is_made_by_the_first_message_to_it() {
    on_both(|subject| {
        let topic = subject.name("made");
        let offset = subject.send(&subject.producer(&[]), to(&topic).payload(b"x"));
        (offset, partitions(subject, &topic, "false"))
    })
    .agree_on((Ok(0), Ok(1)));
}

#[test]
fn a_topic_is_made_for_a_consumer_only_if_it_wants_that() {
    on_both(|subject| {
        let topic = subject.name("made");
        let unwanted = partitions(subject, &topic, "false");
        let wanted = eventually("the topic", || partitions(subject, &topic, "true").ok());
        (unwanted, wanted)
    })
    .agree_on((Err(RDKafkaErrorCode::UnknownTopicOrPartition), 1));
}

/// Returns the number of partitions that a consumer sees.
fn partitions(subject: &Subject, topic: &str, may_make: &str) -> Result<usize, RDKafkaErrorCode> {
    let settings = [("allow.auto.create.topics", may_make)];
    let consumer: BaseConsumer = subject.client(&settings).create().expect("a client");
    let metadata = consumer.fetch_metadata(Some(topic), DEADLINE);
    let metadata = metadata.map_err(|error| code(&error))?;
    let topic = &metadata.topics()[0];
    match topic.error() {
        None => Ok(topic.partitions().len()),
        Some(error) => Err(error.into()),
    }
}

#[test]
fn what_goes_to_a_topic_or_partition_that_is_not_there_is_refused() {
    on_both(|subject| {
        let topic = subject.topic(2);
        let mut raw = subject.raw();
        let mut to = |topic: &str, partition| raw.produce(topic, partition, Batch::of(1).bytes());
        [
            to(&topic, 2),
            to(&topic, -1),
            to(&subject.name("none"), 0),
            to("no name", 0),
            to(&topic, 1),
        ]
    })
    .agree_on([
        (Some(ResponseError::UnknownTopicOrPartition), -1),
        (Some(ResponseError::UnknownTopicOrPartition), -1),
        (Some(ResponseError::UnknownTopicOrPartition), -1),
        (Some(ResponseError::UnknownTopicOrPartition), -1),
        (None, 0),
    ]);
}

#[test]
fn a_message_larger_than_its_topic_takes_is_refused_and_the_next_is_not() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("max.message.bytes", "1048588")]);
        let producer = subject.producer(&[("message.max.bytes", "10000000")]);
        let large = vec![b'x'; 1_100_000];
        let fits = &large[..1_000_000];
        (
            subject.send(&producer, to(&topic).payload(&large)),
            subject.send(&producer, to(&topic).payload(fits)),
        )
    })
    .agree_on((Err(RDKafkaErrorCode::MessageSizeTooLarge), Ok(0)));
}

#[test]
fn a_message_of_eight_megabytes_passes_where_its_topic_takes_it() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("max.message.bytes", "9000000")]);
        let producer = subject.producer(&[("message.max.bytes", "10000000")]);
        let bytes: Vec<u8> = (0..8u32 << 20)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        let offset = subject.send(&producer, to(&topic).payload(&bytes));
        let there = subject.read(&topic, 0, "read_committed");
        (offset, there.len(), there[0].value.as_ref() == Some(&bytes))
    })
    .agree_on((Ok(0), 1, true));
}

#[test]
fn a_batch_whose_bytes_do_not_fit_its_checksum_is_refused() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut damaged = BytesMut::from(Batch::of(3).bytes());
        *damaged.last_mut().expect("bytes") ^= 1;
        let (error, _) = subject.raw().produce(&topic, 0, damaged.freeze());
        (error, subject.watermarks(&topic, 0))
    })
    .agree_on((Some(ResponseError::CorruptMessage), (0, 0)));
}

#[test]
fn a_request_carries_one_batch_a_partition() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut two = BytesMut::from(Batch::of(1).bytes());
        two.put(Batch::of(1).bytes());
        let mut raw = subject.raw();
        [two.freeze(), Default::default()].map(|records| raw.produce(&topic, 0, records).0)
    })
    .agree_on([
        Some(ResponseError::InvalidRecord),
        Some(ResponseError::InvalidRecord),
    ]);
}

#[test]
fn a_batch_cut_short_is_refused() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let whole = Batch::of(3).bytes();
        let mut raw = subject.raw();
        let cut = [whole.len() - 1, 61, 30].map(|length| {
            let (error, _) = raw.produce(&topic, 0, whole.slice(..length));
            error
        });
        (cut, raw.fetch(&topic, 0, 0, UNCOMMITTED).high_watermark)
    })
    .agree_on((
        [
            Some(ResponseError::InvalidRecord),
            Some(ResponseError::InvalidRecord),
            Some(ResponseError::InvalidRecord),
        ],
        0,
    ));
}

#[test]
fn a_batch_of_the_older_formats_is_refused() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut raw = subject.raw();
        [0, 1, 3].map(|magic| {
            let mut batch = BytesMut::from(Batch::of(1).bytes());
            batch[MAGIC] = magic;
            raw.produce(&topic, 0, batch.freeze()).0
        })
    })
    .agree_on([
        Some(ResponseError::InvalidRecord),
        Some(ResponseError::InvalidRecord),
        Some(ResponseError::CorruptMessage),
    ]);
}

/// Position of the format version in a batch.
const MAGIC: usize = 16;
