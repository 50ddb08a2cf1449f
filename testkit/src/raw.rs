//! A small client of the Kafka protocol, for requests that librdkafka does not send. It waits for each response before the next request,
//! unless a test calls [`Raw::send`] and [`Raw::receive`] separately.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeTransactionsRequest, FetchRequest, FetchResponse, FindCoordinatorRequest,
        InitProducerIdRequest, ListOffsetsRequest, ProduceRequest, RequestHeader, ResponseHeader,
        TopicName, TransactionalId,
        describe_groups_request::DescribeGroupsRequest,
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::PartitionData,
        init_producer_id_response::InitProducerIdResponse,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::PartitionProduceResponse,
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};

use crate::{DEADLINE, eventually};

/// Error of a response; `None` is success.
pub type Verdict = Option<ResponseError>;

/// Converts an error code of the protocol.
pub fn verdict(code: i16) -> Verdict {
    ResponseError::try_from_code(code)
}

/// Converts a string into the string type of the protocol crate, or one of its types for names.
pub fn text<T: From<StrBytes>>(text: &str) -> T {
    StrBytes::from_string(text.to_owned()).into()
}

/// A connection to a broker.
pub struct Raw {
    stream: TcpStream,
    /// Correlation id of the last request.
    correlation: i32,
}

impl Raw {
    /// Connects to a broker.
    pub fn connect(servers: &str) -> Self {
        let stream = TcpStream::connect(servers).expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a socket option");
        Self {
            stream,
            correlation: 0,
        }
    }

    /// Sends a request and waits for the response.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version)
    }

    /// Sends a request, and does not wait for the response.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("raw")));
        let mut frame = BytesMut::new();
        let encoded = header.encode(&mut frame, R::header_version(version));
        encoded.expect("a header");
        request.encode(&mut frame, version).expect("a request");
        self.send_frame(&frame);
    }

    /// Waits for the response to the last request.
    pub fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let mut frame = self.receive_frame().expect("a response");
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).expect("a header");
        assert_eq!(header.correlation_id, self.correlation);
        let response = R::Response::decode(&mut frame, version).expect("a response");
        assert!(!frame.has_remaining(), "{} bytes too many", frame.len());
        response
    }

    /// Sends bytes after their length.
    pub fn send_frame(&mut self, frame: &[u8]) {
        let mut whole = BytesMut::new();
        whole.put_i32(i32::try_from(frame.len()).expect("a short frame"));
        whole.put_slice(frame);
        self.stream.write_all(&whole).expect("the frame is sent");
    }

    /// Receives bytes after their length, or returns `None` if the connection was closed.
    pub fn receive_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let length = i32::from_be_bytes(length);
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    /// Waits until every partition of a topic has a leader that responds. Kafka lists a new topic before it can be used.
    pub fn await_leaders(&mut self, topic: &str, partitions: i32) {
        for partition in 0..partitions {
            eventually(&format!("a leader of {topic}:{partition}"), || {
                let (error, ..) = self.list_offset(topic, partition, LATEST, 0);
                error.is_none().then_some(())
            });
        }
    }

    /// Waits until the coordinators of groups and of transactions work. Kafka creates their topics at the first request for a
    /// coordinator. A hash of the name chooses the partition, and these names of one letter cover all of them.
    pub fn await_coordinators(&mut self) {
        for kind in [GROUP, TRANSACTION] {
            eventually("a coordinator", || {
                let request = FindCoordinatorRequest::default()
                    .with_key_type(kind)
                    .with_coordinator_keys(vec![text("a")]);
                let found = self.call(4, &request).coordinators.remove(0);
                (found.error_code == 0).then_some(())
            });
        }
        for name in ["a", "b", "c", "d"] {
            eventually("the coordinator of groups", || {
                let request = DescribeGroupsRequest::default().with_groups(vec![text(name)]);
                let described = self.call(5, &request).groups.remove(0);
                (described.error_code == 0).then_some(())
            });
            eventually("the coordinator of transactions", || {
                let request =
                    DescribeTransactionsRequest::default().with_transactional_ids(vec![text(name)]);
                let described = self.call(0, &request).transaction_states.remove(0);
                let error = verdict(described.error_code);
                (error == Some(ResponseError::TransactionalIdNotFound)).then_some(())
            });
        }
    }

    /// Produces to one partition with acks=all. Returns the error and the base offset.
    pub fn produce(&mut self, topic: &str, partition: i32, records: Bytes) -> (Verdict, i64) {
        let answer = self.produce_with(-1, None, topic, partition, records);
        (verdict(answer.error_code), answer.base_offset)
    }

    /// Produces to one partition. Returns its part of the response.
    pub fn produce_with(
        &mut self,
        acks: i16,
        transactional_id: Option<&str>,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> PartitionProduceResponse {
        let partition = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(records));
        let topic = TopicProduceData::default()
            .with_name(text(topic))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(10_000)
            .with_transactional_id(transactional_id.map(text::<TransactionalId>))
            .with_topic_data(vec![topic]);
        let mut answer = self.call(9, &request);
        answer.responses.remove(0).partition_responses.remove(0)
    }

    /// Fetches one partition without waiting for records.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64, level: i8) -> PartitionData {
        let partition = fetch_partition(partition, offset);
        let request = fetch_request(topic, vec![partition]).with_isolation_level(level);
        let mut answer = self.fetch_with(&request);
        answer.responses.remove(0).partitions.remove(0)
    }

    /// Sends a fetch request.
    pub fn fetch_with(&mut self, request: &FetchRequest) -> FetchResponse {
        self.call(11, request)
    }

    /// Returns error, offset and timestamp for a time, or for a special value such as [`LATEST`].
    pub fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        time: i64,
        level: i8,
    ) -> (Verdict, i64, i64) {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(time);
        let topic = ListOffsetsTopic::default()
            .with_name(text::<TopicName>(topic))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(level)
            .with_topics(vec![topic]);
        let mut answer = self.call(7, &request);
        let found = answer.topics.remove(0).partitions.remove(0);
        (verdict(found.error_code), found.offset, found.timestamp)
    }

    /// Requests a producer id, for this transactional id if there is one.
    pub fn init_producer(&mut self, transactional_id: Option<&str>) -> InitProducerIdResponse {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(text::<TransactionalId>))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        // Kafka responds with this error until it has got a block of ids from its controller.
        let loading = Some(ResponseError::CoordinatorLoadInProgress);
        eventually("a producer id", || {
            let answer = self.call(3, &request);
            (verdict(answer.error_code) != loading).then_some(answer)
        })
    }
}

/// Key type of the coordinator of groups.
pub const GROUP: i8 = 0;
/// Key type of the coordinator of transactions.
pub const TRANSACTION: i8 = 1;

/// Special time that stands for the end of a partition.
pub const LATEST: i64 = -1;
/// Special time that stands for the beginning of a partition.
pub const EARLIEST: i64 = -2;
/// Special time that stands for the record with the largest timestamp.
pub const OF_MAX_TIME: i64 = -3;

/// Isolation level that includes uncommitted records.
pub const UNCOMMITTED: i8 = 0;
/// Isolation level of committed records.
pub const COMMITTED: i8 = 1;

/// Makes a request for partitions of one topic that does not wait for records.
pub fn fetch_request(topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = FetchTopic::default()
        .with_topic(text::<TopicName>(topic))
        .with_partitions(partitions);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(50 << 20)
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// Makes the part of a fetch request for one partition, with a large limit.
pub fn fetch_partition(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(50 << 20)
}

/// Returns the current time in milliseconds since 1970.
pub fn now() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(now.as_millis()).expect("small")
}
