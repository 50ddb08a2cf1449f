//! Clients of the built-in broker, which anyone on the machine can reach.

use bytes::Bytes;
use eventos_testkit::raw::{Raw, text};
use kafka_protocol::messages::{
    CreateTopicsRequest, JoinGroupRequest, create_topics_request::CreatableTopic,
};

use super::*;

pub(super) const ATTACKS: &[NamedAttack] = &[
    ("a frame of 2 GiB", |target| {
        frame(target, &i32::MAX.to_be_bytes())
    }),
    ("a frame with a negative length", |target| {
        frame(target, &(-5i32).to_be_bytes())
    }),
    ("HTTP to the broker", |target| {
        frame(target, b"GET / HTTP/1.1\r\n\r\n")
    }),
    ("100 frames of 90 MB that never come", |target| {
        let length = (90i32 << 20).to_be_bytes();
        let held: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = connect(target.daemon.broker());
                stream.write_all(&length).expect("the length is sent");
                stream
            })
            .collect();
        target.check_alive()?;
        target.daemon.send(r#"{"id":"meanwhile","tipo":"good"}"#);
        Ok(format!("others are served while {} wait", held.len()))
    }),
    ("200 connections that send nothing", |target| {
        let held: Vec<_> = (0..200).map(|_| connect(target.daemon.broker())).collect();
        target.daemon.send(r#"{"id":"meanwhile","tipo":"good"}"#);
        Ok(format!("others are served while {} wait", held.len()))
    }),
    ("an unknown API", |target| {
        frame(
            target,
            &[0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        )
    }),
    ("an array of 2^31 topics", |target| {
        frame(
            target,
            &[
                0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff,
            ],
        )
    }),
    ("a batch that is garbage", |target| {
        produce(target, vec![0xab; 200])
    }),
    ("a batch with a wrong checksum", |target| {
        let mut batch = vec![0; 61];
        batch[11] = 49;
        batch[16] = 2;
        produce(target, batch)
    }),
    ("a batch shorter than its header", |target| {
        produce(target, vec![0; 12])
    }),
    ("a topic of a million partitions", |target| {
        create(target, "large", 1_000_000)
    }),
    ("a topic of 0 partitions", |target| {
        create(target, "none", 0)
    }),
    ("a topic out of the data folder", |target| {
        create(target, "../../evil", 1)
    }),
    ("a topic with a name of 10,000 characters", |target| {
        create(target, &"x".repeat(10_000), 1)
    }),
    (
        "a member with 1 MB of metadata and no session timeout",
        |target| {
            let mut raw = Raw::connect(target.daemon.broker());
            let request = JoinGroupRequest::default()
                .with_group_id(text("attack"))
                .with_session_timeout_ms(0)
                .with_rebalance_timeout_ms(-1)
                .with_protocol_type(text(&"x".repeat(30_000)));
            let error = raw.call(5, &request).error_code;
            match error {
                0 => Err("joined".to_owned()),
                error => Ok(format!("refused with error {error}")),
            }
        },
    ),
];

fn frame(target: &Target, bytes: &[u8]) -> Outcome {
    let answer = exchange(target.daemon.broker(), bytes);
    match answer.len() {
        0 => Ok("the connection is closed".to_owned()),
        // A bare error code at most.
        1..64 => Ok(format!("answered with {} bytes", answer.len())),
        length => Err(format!("answered with {length} bytes")),
    }
}

fn produce(target: &Target, batch: Vec<u8>) -> Outcome {
    let mut raw = Raw::connect(target.daemon.broker());
    match raw.produce(&target.setup.topic(), 0, Bytes::from(batch)) {
        (None, offset) => Err(format!("stored at {offset}")),
        (Some(error), _) => Ok(format!("refused with {error:?}")),
    }
}

fn create(target: &Target, name: &str, partitions: i32) -> Outcome {
    let mut raw = Raw::connect(target.daemon.broker());
    let topic = CreatableTopic::default()
        .with_name(text(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(5_000)
        .with_topics(vec![topic]);
    match raw.call(5, &request).topics[0].error_code {
        0 => Err("created".to_owned()),
        error => Ok(format!("refused with error {error}")),
    }
}
