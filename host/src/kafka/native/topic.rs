//! Asking for the id of a topic.

use std::{
    ffi::CString,
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, bindings as native,
    client::Client,
    error::{IsError as _, KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use crate::event::TopicId;

/// A topic, as the broker describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct TopicDescription {
    /// The id, which no other topic ever has; none with brokers before Kafka 2.8.
    pub(in crate::kafka) id: Option<TopicId>,
    /// The number of partitions.
    pub(in crate::kafka) partitions: usize,
}

/// Asks the broker about a topic, and waits for at most this long. Returns none if the topic does not exist. This may be called from
/// any thread, whatever else the client does.
///
/// # Errors
/// No broker answered, or it denies the permission to describe the topic.
pub(in crate::kafka) fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    at_most: Duration,
) -> KafkaResult<Option<TopicDescription>> {
    let topic = CString::new(topic)?;
    let results = Results::new(client)?;
    let request = Request::new(client, at_most)?;
    let mut names = [topic.as_ptr()];
    // SAFETY: all pointers are alive during the call, which copies what it needs. The results outlive the request: dropping
    // the queue early only has the results thrown away.
    unsafe {
        let topics = native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        native::rd_kafka_DescribeTopics(
            client.native_ptr(),
            topics,
            request.0.as_ptr(),
            results.0.as_ptr(),
        );
        native::rd_kafka_TopicCollection_destroy(topics);
    }
    results.wait(at_most)
}

/// The options of the request.
struct Request(NonNull<native::rd_kafka_AdminOptions_t>);

impl Request {
    fn new<C: ClientContext>(client: &Client<C>, timeout: Duration) -> KafkaResult<Self> {
        let describe = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        // SAFETY: the client is alive.
        let options = unsafe { native::rd_kafka_AdminOptions_new(client.native_ptr(), describe) };
        let options = NonNull::new(options).map(Self).ok_or_else(out_of_memory)?;
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the options are alive, and no text of the error is wanted.
        let error = unsafe {
            let options = options.0.as_ptr();
            native::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0)
        };
        match error.is_error() {
            true => Err(KafkaError::AdminOp(error.into())),
            false => Ok(options),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: the options are alive, and nothing refers to them any more.
        unsafe { native::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) };
    }
}

/// The queue to which the result comes.
struct Results(NonNull<native::rd_kafka_queue_t>);

impl Results {
    fn new<C: ClientContext>(client: &Client<C>) -> KafkaResult<Self> {
        // SAFETY: the client is alive.
        let queue = unsafe { native::rd_kafka_queue_new(client.native_ptr()) };
        NonNull::new(queue).map(Self).ok_or_else(out_of_memory)
    }

    fn wait(&self, at_most: Duration) -> KafkaResult<Option<TopicDescription>> {
        // The request ends by itself after its timeout. The margin is for the thread that ends it.
        let deadline = Instant::now() + at_most + Duration::from_secs(1);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: the queue is alive.
            let event = unsafe { native::rd_kafka_queue_poll(self.0.as_ptr(), millis) };
            let Some(event) = NonNull::new(event) else {
                return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
            };
            // SAFETY: the event is alive until it is destroyed, after what was read of it was copied.
            let described = unsafe {
                let described = described(event);
                native::rd_kafka_event_destroy(event.as_ptr());
                described
            };
            if let Some(described) = described {
                return described;
            }
        }
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        // SAFETY: the queue is alive, and nothing refers to it any more.
        unsafe { native::rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

/// Reads the result of the request; none if the event is another one.
///
/// # Safety
/// The event is alive.
unsafe fn described(
    event: NonNull<native::rd_kafka_event_t>,
) -> Option<KafkaResult<Option<TopicDescription>>> {
    // SAFETY: the event is alive, and owns everything that is read here.
    unsafe {
        if native::rd_kafka_event_type(event.as_ptr())
            != native::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT
        {
            return None;
        }
        let error = native::rd_kafka_event_error(event.as_ptr());
        if error.is_error() {
            return Some(Err(KafkaError::AdminOp(error.into())));
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        let mut count = 0;
        let topics = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count == 0 {
            return Some(Ok(None));
        }
        Some(described_topic(*topics))
    }
}

/// # Safety
/// The topic is alive.
unsafe fn described_topic(
    topic: *const native::rd_kafka_TopicDescription_t,
) -> KafkaResult<Option<TopicDescription>> {
    use RDKafkaRespErr as Code;
    // SAFETY: the topic is alive, and owns everything that is read here.
    unsafe {
        let error = native::rd_kafka_TopicDescription_error(topic);
        let code = native::rd_kafka_error_code(error);
        match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID => return Ok(None),
            code => return Err(KafkaError::AdminOp(code.into())),
        }
        let mut partitions = 0;
        native::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = native::rd_kafka_TopicDescription_topic_id(topic);
        let id = TopicId::new(
            native::rd_kafka_Uuid_most_significant_bits(id),
            native::rd_kafka_Uuid_least_significant_bits(id),
        );
        Ok(Some(TopicDescription { id, partitions }))
    }
}

fn out_of_memory() -> KafkaError {
    KafkaError::ClientCreation("out of memory".to_owned())
}
