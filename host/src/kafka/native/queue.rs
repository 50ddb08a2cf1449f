//! The queue of a consumer: its records, the ends of its partitions, and its errors.

use std::{
    ffi::{CStr, CString, c_char},
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList, bindings as native,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{IsError as _, KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::Consumed;
use crate::event::{Offset, Partition, TopicPartition};

/// A consumer and its queue. It is polled here, not by the methods of [`BaseConsumer`], and closed when it is dropped.
pub(in crate::kafka) struct ConsumerQueue<C: ConsumerContext> {
    consumer: BaseConsumer<C>,
    queue: NonNull<native::rd_kafka_queue_t>,
}

/// What a consumer finds in its queue.
pub(in crate::kafka) enum QueueEvent<'q> {
    /// The next record of its partition.
    Record(Consumed<'q>),
    /// All records of the partition before this offset have been returned, and nothing else has arrived yet. The offset may be
    /// greater than that of the last record plus one: transaction markers and compacted records have offsets, too.
    PartitionEnd(TopicPartition, Offset),
    /// A client that cannot go on, or a fault that passes by itself.
    Error(ClientError),
}

/// An error that a consumer reports.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{reason}", partition.as_ref().map(|at| format!("{at}: ")).unwrap_or_default())]
pub(in crate::kafka) struct ClientError {
    /// The error code.
    pub(in crate::kafka) code: RDKafkaErrorCode,
    /// Whether the client cannot be used any more.
    pub(in crate::kafka) is_fatal: bool,
    /// The partition that the error is about, if it is about one.
    pub(in crate::kafka) partition: Option<TopicPartition>,
    /// The error as librdkafka describes it.
    pub(in crate::kafka) reason: String,
}

/// An event that was taken out of a queue. Dropping it frees it, with the record in it.
pub(in crate::kafka) struct Event(NonNull<native::rd_kafka_event_t>);

// SAFETY: librdkafka's clients and queues may be used by several threads at a time ("rdkafka.h: all functions are
// thread-safe unless otherwise stated"), and `BaseConsumer` is Send and Sync itself.
unsafe impl<C: ConsumerContext> Send for ConsumerQueue<C> {}
// SAFETY: as above.
unsafe impl<C: ConsumerContext> Sync for ConsumerQueue<C> {}

impl<C: ConsumerContext> ConsumerQueue<C> {
    /// Takes the queue of a consumer that has a group id.
    ///
    /// # Errors
    /// The consumer has no group id.
    pub(in crate::kafka) fn new(consumer: BaseConsumer<C>) -> Result<Self, KafkaError> {
        // SAFETY: the client is alive, since `consumer` owns it.
        let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        match NonNull::new(queue) {
            Some(queue) => Ok(Self { consumer, queue }),
            None => Err(KafkaError::ClientCreation("no group.id is set".to_owned())),
        }
    }

    /// The consumer, for everything but polling.
    pub(in crate::kafka) fn client(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    /// Waits for the next event, for at most this long. Statistics, log lines and results of commits go to the context of
    /// the consumer, and waiting goes on. After a rebalance it returns at once, so that the caller hears of it before it
    /// gets a record of a new partition.
    pub(in crate::kafka) fn poll(&self, at_most: Duration) -> Option<QueueEvent<'_>> {
        // The clock is not read while records are waiting.
        let deadline = (!at_most.is_zero()).then(|| Instant::now() + at_most);
        let mut left = at_most;
        loop {
            let event = self.next(left)?;
            match event.kind() {
                native::RD_KAFKA_EVENT_FETCH => match Consumed::take(event) {
                    Some(Ok(record)) => return Some(QueueEvent::Record(record)),
                    Some(Err(error)) => return Some(QueueEvent::Error(error)),
                    None => {}
                },
                native::RD_KAFKA_EVENT_ERROR => {
                    if let Some(event) = self.error(&event) {
                        return Some(event);
                    }
                }
                native::RD_KAFKA_EVENT_REBALANCE => {
                    self.rebalance(&event);
                    return None;
                }
                native::RD_KAFKA_EVENT_OFFSET_COMMIT => self.committed(&event),
                native::RD_KAFKA_EVENT_STATS => self.statistics(&event),
                native::RD_KAFKA_EVENT_LOG => self.log(&event),
                other => tracing::debug!(event = other, "unknown event of librdkafka"),
            }
            left = deadline.map_or(Duration::ZERO, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
        }
    }

    /// Returns the oldest offset of a partition, as of the last fetch. It asks no broker.
    pub(in crate::kafka) fn first_offset(&self, of: &TopicPartition) -> Option<Offset> {
        let topic = CString::new(&*of.topic).ok()?;
        let (mut first, mut end) = (-1, -1);
        // SAFETY: the client is alive, the topic ends with a NUL byte, and the offsets are set during the call.
        let error = unsafe {
            native::rd_kafka_get_watermark_offsets(
                self.consumer.client().native_ptr(),
                topic.as_ptr(),
                of.partition.0,
                &raw mut first,
                &raw mut end,
            )
        };
        (!error.is_error() && first >= 0).then_some(Offset(first))
    }

    fn next(&self, at_most: Duration) -> Option<Event> {
        let millis = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive until this is dropped. The event that is returned belongs to the caller.
        let event = unsafe { native::rd_kafka_queue_poll(self.queue.as_ptr(), millis) };
        NonNull::new(event).map(Event)
    }

    fn error(&self, event: &Event) -> Option<QueueEvent<'_>> {
        let error = event.error();
        if !error.is_error() {
            return None;
        }
        let at = event.topic_partition();
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF {
            let (partition, offset) = at?;
            return Some(QueueEvent::PartitionEnd(partition, offset));
        }
        // SAFETY: the event is alive and an error.
        let (reason, is_fatal) = unsafe {
            let reason = native::rd_kafka_event_error_string(event.0.as_ptr());
            let is_fatal = native::rd_kafka_event_error_is_fatal(event.0.as_ptr());
            (text(reason), is_fatal != 0)
        };
        let code = error.into();
        let context = self.consumer.client().context();
        context.error(KafkaError::Global(code), &reason);
        Some(QueueEvent::Error(ClientError {
            code,
            is_fatal,
            partition: at.map(|(partition, _)| partition),
            reason,
        }))
    }

    fn rebalance(&self, event: &Event) {
        let context = self.consumer.client().context();
        context.rebalance(&self.consumer, event.error(), &mut event.partitions());
    }

    fn committed(&self, event: &Event) {
        let error = event.error();
        let result = match error.is_error() {
            true => Err(KafkaError::ConsumerCommit(error.into())),
            false => Ok(()),
        };
        let context = self.consumer.client().context();
        context.commit_callback(result, &event.partitions());
    }

    fn statistics(&self, event: &Event) {
        // SAFETY: the event is alive and has statistics: JSON that ends with a NUL byte, and that the event owns.
        let json = unsafe { CStr::from_ptr(native::rd_kafka_event_stats(event.0.as_ptr())) };
        self.consumer.client().context().stats_raw(json.to_bytes());
    }

    fn log(&self, event: &Event) {
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event is alive, and owns the texts to which it sets the pointers.
        let (facility, line) = unsafe {
            let event = event.0.as_ptr();
            if native::rd_kafka_event_log(event, &raw mut facility, &raw mut line, &raw mut level)
                != 0
            {
                return;
            }
            (text(facility), text(line))
        };
        let context = self.consumer.client().context();
        context.log(log_level(level), facility.trim(), line.trim());
    }
}

impl<C: ConsumerContext> Drop for ConsumerQueue<C> {
    fn drop(&mut self) {
        // SAFETY: this gives up one reference to the queue. The consumer, which is dropped after this, has its own.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl Event {
    fn kind(&self) -> i32 {
        // SAFETY: the event is alive.
        unsafe { native::rd_kafka_event_type(self.0.as_ptr()) }
    }

    fn error(&self) -> RDKafkaRespErr {
        // SAFETY: the event is alive.
        unsafe { native::rd_kafka_event_error(self.0.as_ptr()) }
    }

    /// Takes the next message of a fetch. The event owns it.
    pub(super) fn next_message(&self) -> Option<NonNull<native::rd_kafka_message_t>> {
        // SAFETY: the event is alive and a fetch.
        let message = unsafe { native::rd_kafka_event_message_next(self.0.as_ptr()) };
        NonNull::new(message.cast_mut())
    }

    /// Copies the partitions of a rebalance or a commit, with their offsets.
    fn partitions(&self) -> TopicPartitionList {
        let mut copy = TopicPartitionList::new();
        // SAFETY: the event is alive and owns the list, which has `cnt` elements whose topics end with a NUL byte.
        unsafe {
            let list = native::rd_kafka_event_topic_partition_list(self.0.as_ptr());
            let Some(list) = NonNull::new(list) else {
                return copy;
            };
            let count = usize::try_from(list.as_ref().cnt).unwrap_or_default();
            for i in 0..count {
                let one = *list.as_ref().elems.add(i);
                let offset = rdkafka::Offset::from_raw(one.offset);
                let added = copy.add_partition_offset(&text(one.topic), one.partition, offset);
                added.expect("librdkafka has this offset itself");
            }
        }
        copy
    }

    /// The partition that an error is about, and the offset.
    fn topic_partition(&self) -> Option<(TopicPartition, Offset)> {
        // SAFETY: the event is alive. What is returned is a copy, which has to be destroyed.
        unsafe {
            let at = native::rd_kafka_event_topic_partition(self.0.as_ptr());
            let native::rd_kafka_topic_partition_t {
                topic,
                partition,
                offset,
                ..
            } = *NonNull::new(at)?.as_ref();
            let partition = TopicPartition::new(text(topic), Partition(partition));
            native::rd_kafka_topic_partition_destroy(at);
            Some((partition, Offset(offset)))
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is alive, and nothing borrows from it any more.
        unsafe { native::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// Keeps what is fetched of a partition in a queue of its own, or moves it to the queue of the consumer, which is where it goes by
/// default. librdkafka fetches no more of the partition once that queue is as long as `queued.max.messages.kbytes` and
/// `queued.min.messages` permit.
pub(in crate::kafka) fn set_held<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partition: &TopicPartition,
    is_held: bool,
) {
    let Ok(topic) = CString::new(&*partition.topic) else {
        return;
    };
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive, and the topic ends with a NUL byte. Each queue that is returned is one more reference, which
    // is given up at the end; librdkafka itself keeps the queues.
    unsafe {
        let own =
            native::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition.partition.0);
        let common = native::rd_kafka_queue_get_consumer(client);
        if !own.is_null() && !common.is_null() {
            let to = if is_held { ptr::null_mut() } else { common };
            native::rd_kafka_queue_forward(own, to);
        }
        for queue in [own, common] {
            if !queue.is_null() {
                native::rd_kafka_queue_destroy(queue);
            }
        }
    }
}

/// Copies a text of librdkafka; an empty one if there is none.
///
/// # Safety
/// The pointer is null, or points to bytes that end with a NUL byte.
pub(super) unsafe fn text(of: *const c_char) -> String {
    match of.is_null() {
        true => String::new(),
        // SAFETY: the caller promises it.
        false => unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned(),
    }
}

/// librdkafka's levels are those of syslog.
fn log_level(level: i32) -> RDKafkaLogLevel {
    use RDKafkaLogLevel as Level;
    match level {
        0 => Level::Emerg,
        1 => Level::Alert,
        2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        _ => Level::Debug,
    }
}
