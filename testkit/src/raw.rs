//! A tiny client of the Kafka protocol itself, for what librdkafka does not ask or would not let happen. It waits for
//! each answer before the next request, unless the two halves of a call are made apart.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, FetchRequest, FetchResponse, FindCoordinatorRequest,
    InitProducerIdRequest, ListOffsetsRequest, ProduceRequest, RequestHeader, ResponseHeader,
    TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::{DEADLINE, eventually};

/// The verdict of a broker: none is a good one.
pub type Verdict = Option<ResponseError>;

/// What a code of the protocol means.
pub fn verdict(code: i16) -> Verdict {
    ResponseError::try_from_code(code)
}

/// A string as the protocol crate wants it, or one of the names that it makes of strings.
pub fn text<T: From<StrBytes>>(text: &str) -> T {
    StrBytes::from_string(text.to_owned()).into()
}

/// A connection.
pub struct Raw {
    stream: TcpStream,
    /// Of the request before.
    correlation: i32,
}

impl Raw {
    /// Connects to a broker.
    pub fn connect(servers: &str) -> Self {
        let stream = TcpStream::connect(servers).expect("connected");
        stream.set_nodelay(true).expect("set");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        Self {
            stream,
            correlation: 0,
        }
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version)
    }

    /// The first half of a call.
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

    /// The second half of a call.
    pub fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let mut frame = self.receive_frame().expect("an answer");
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).expect("a header");
        assert_eq!(header.correlation_id, self.correlation);
        let response = R::Response::decode(&mut frame, version).expect("a response");
        assert!(!frame.has_remaining(), "{} bytes too many", frame.len());
        response
    }

    /// Sends bytes with their length in front.
    pub fn send_frame(&mut self, frame: &[u8]) {
        let mut whole = BytesMut::new();
        whole.put_i32(i32::try_from(frame.len()).expect("short"));
        whole.put_slice(frame);
        self.stream.write_all(&whole).expect("sent");
    }

    /// Bytes that came with their length in front; none if the connection was closed.
    pub fn receive_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let length = i32::from_be_bytes(length);
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    /// Waits until a topic has a leader that answers for each of its partitions: a Kafka tells of a topic before it can
    /// be used.
    pub fn await_leaders(&mut self, topic: &str, partitions: i32) {
        for partition in 0..partitions {
            eventually(&format!("{topic} [{partition}]"), || {
                let (error, ..) = self.list_offset(topic, partition, LATEST, 0);
                error.is_none().then_some(())
            });
        }
    }

    /// Waits until the coordinators of groups and of transactions are at work, which a Kafka begins with the first
    /// question for one. Names of one letter cover all partitions of their topics, which are chosen by a hash.
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
            eventually("the groups", || {
                let request = DescribeGroupsRequest::default().with_groups(vec![text(name)]);
                let described = self.call(5, &request).groups.remove(0);
                (described.error_code == 0).then_some(())
            });
            eventually("the transactions", || {
                let request =
                    DescribeTransactionsRequest::default().with_transactional_ids(vec![text(name)]);
                let described = self.call(0, &request).transaction_states.remove(0);
                let error = verdict(described.error_code);
                (error == Some(ResponseError::TransactionalIdNotFound)).then_some(())
            });
        }
    }

    /// Produces to one partition, with acks=all.
    pub fn produce(&mut self, topic: &str, partition: i32, records: Bytes) -> (Verdict, i64) {
        let answer = self.produce_with(-1, None, topic, partition, records);
        (verdict(answer.error_code), answer.base_offset)
    }

    /// Produces to one partition; answers all that was said of it.
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

    /// Fetches one partition without waiting.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64, level: i8) -> PartitionData {
        let partition = fetch_partition(partition, offset);
        let request = fetch_request(topic, vec![partition]).with_isolation_level(level);
        let mut answer = self.fetch_with(&request);
        answer.responses.remove(0).partitions.remove(0)
    }

    /// Fetches as the request says.
    pub fn fetch_with(&mut self, request: &FetchRequest) -> FetchResponse {
        self.call(11, request)
    }

    /// The verdict, offset and timestamp for a point in time, or one of the special ones such as [`LATEST`].
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

    /// A producer id, of a transactional id if one is given.
    pub fn init_producer(&mut self, transactional_id: Option<&str>) -> InitProducerIdResponse {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(text::<TransactionalId>))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        // A Kafka says this until it has got a block of ids from its controller.
        let loading = Some(ResponseError::CoordinatorLoadInProgress);
        eventually("a producer id", || {
            let answer = self.call(3, &request);
            (verdict(answer.error_code) != loading).then_some(answer)
        })
    }
}

/// The coordinator of groups.
pub const GROUP: i8 = 0;
/// That of transactions.
pub const TRANSACTION: i8 = 1;

/// The end.
pub const LATEST: i64 = -1;
/// The beginning.
pub const EARLIEST: i64 = -2;
/// The record with the largest timestamp.
pub const OF_MAX_TIME: i64 = -3;

/// All records.
pub const UNCOMMITTED: i8 = 0;
/// Committed records only.
pub const COMMITTED: i8 = 1;

/// A fetch of some partitions of a topic, which waits for nothing.
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

/// A partition to be fetched, as much of it as is there.
pub fn fetch_partition(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(50 << 20)
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(now.as_millis()).expect("small")
}
