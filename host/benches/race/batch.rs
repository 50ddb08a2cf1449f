//! A bare loop with librdkafka's batch call.
//!
//! On the main queue of a group member, the call returns no records, since it ends at each event of another kind. So the queue of
//! each assigned partition is forwarded to a queue of its own, which has nothing but records.

use std::{
    ffi::CString,
    ptr::{self, NonNull},
    sync::OnceLock,
    time::Duration,
};

use rdkafka::{
    ClientContext, bindings as native,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    types::RDKafkaRespErr,
};

use crate::{
    bare::{consumer, consumer_settings},
    contestants::Job,
    progress::Progress,
};

/// Maximum number of records that a call returns.
const BATCH: usize = 1024;

/// How long a call waits for records.
const WAIT_MS: i32 = 10;

/// Consumes with `rd_kafka_consume_batch_queue`, and counts.
pub(crate) fn run(job: &Job) {
    let consumer = consumer(job, Forwarding::default());
    let client = consumer.client();
    // SAFETY: the client is alive.
    let queue = unsafe { native::rd_kafka_queue_new(client.native_ptr()) };
    let queue = Queue(NonNull::new(queue).expect("a queue"));
    let queue = client.context().queue.get_or_init(|| queue);
    let what = format!(
        "rd_kafka_consume_batch_queue with {BATCH} records, the partitions' queues forwarded to one"
    );
    let mut progress = Progress::ready(&consumer_settings(&what), job.events);
    consumer.subscribe(&[&job.topic]).expect("subscribed");
    let mut count = 0;
    while !progress.is_done() {
        // Rebalances, and records that arrived before their partition was forwarded.
        while let Some(message) = consumer.poll(Duration::ZERO) {
            message.expect("a message");
            count += 1;
        }
        count += queue.take();
        progress.reached(count);
    }
    progress.wait()
}

/// Forwards the queue of each assigned partition.
#[derive(Default)]
struct Forwarding {
    queue: OnceLock<Queue>,
}

/// The queue that all partitions are forwarded to. It lives as long as the process.
struct Queue(NonNull<native::rd_kafka_queue_t>);

// SAFETY: queues of librdkafka may be used by several threads at a time.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// Takes the records that are there, after waiting for the first, and returns their number.
    fn take(&self) -> u64 {
        let mut messages = [ptr::null_mut(); BATCH];
        // SAFETY: the queue is alive, and there is room for BATCH pointers.
        let taken = unsafe {
            native::rd_kafka_consume_batch_queue(
                self.0.as_ptr(),
                WAIT_MS,
                messages.as_mut_ptr(),
                BATCH,
            )
        };
        let taken = usize::try_from(taken).expect("records can be consumed");
        for &message in &messages[..taken] {
            // SAFETY: the call has set the first `taken` pointers to messages that belong to the caller. Each is used and
            // destroyed once.
            unsafe {
                let error = (*message).err;
                assert_eq!(
                    error,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                    "a message"
                );
                native::rd_kafka_message_destroy(message);
            }
        }
        taken as u64
    }
}

impl ClientContext for Forwarding {}

impl ConsumerContext for Forwarding {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (Rebalance::Assign(partitions), Some(to)) = (rebalance, self.queue.get()) else {
            return;
        };
        for partition in partitions.elements() {
            let topic = CString::new(partition.topic()).expect("a name without NUL");
            // SAFETY: client and queue are alive, and the topic ends with NUL. The partition's queue is released; the client
            // keeps it and where it is forwarded to.
            unsafe {
                let client = consumer.client().native_ptr();
                let from = native::rd_kafka_queue_get_partition(
                    client,
                    topic.as_ptr(),
                    partition.partition(),
                );
                native::rd_kafka_queue_forward(from, to.0.as_ptr());
                native::rd_kafka_queue_destroy(from);
            }
        }
    }
}
