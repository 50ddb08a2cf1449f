//! Many, slow, broken or hostile clients: they affect neither the other clients nor the memory.

use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use kafka_protocol::messages::ApiKey;
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    producer::FutureProducer,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{child::ChildBroker, support::*, wire::*};

/// The memory that an idle connection may take, in bytes.
const IDLE: u64 = 16 << 10;
/// The memory that a connection may take that has announced a large request and sent little of it, in bytes.
const PROMISED: u64 = 128 << 10;
const MIB: u64 = 1 << 20;

/// Sends and receives messages through ordinary clients.
async fn work(address: SocketAddr, group: &str) {
    let producer: FutureProducer = client(address).set("acks", "all").create().unwrap();
    send(&producer, "work", 0, numbered(group, 0..2_000)).await;
    let consumer = consumer_of(&mut client(address), group, &["work"]);
    let got = receive(&consumer, 2_000).await;
    assert_eq!(got.len(), 2_000);
}

/// Raises the limit of open files: a thousand connections have two ends each.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_cost_little_and_hinder_nobody() {
    raise_file_limit();
    let broker = ChildBroker::start();
    work(broker.address, "before").await;
    let before = broker.resident();
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let mut stream = connect(broker.address).await;
        assert_alive(&mut stream).await;
        idle.push(stream);
    }
    work(broker.address, "meanwhile").await;
    let grown = broker.resident().saturating_sub(before);
    println!("1,000 idle connections take {} bytes each", grown / 1_000);
    assert!(grown < 1_000 * IDLE, "{grown} bytes");
    for stream in &mut idle {
        assert_alive(stream).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_much_and_reads_nothing_takes_one_answer_and_hinders_nobody() {
    let broker = ChildBroker::start();
    let producer: FutureProducer = client(broker.address).create().unwrap();
    let large = "x".repeat(500_000);
    for partition in 0..4 {
        send(&producer, "t", partition, vec![large.clone(); 8]).await;
    }
    work(broker.address, "before").await;
    let before = broker.resident();
    // A response has at least a megabyte, so 100 of them exceed the buffers of any socket.
    let mut slow = connect(broker.address).await;
    for _ in 0..100 {
        let ask = fetch_up_to(64 << 20, &[0; 4], 1, 0);
        slow.write_all(&ask).await.unwrap();
    }
    within(slow.readable()).await.unwrap();
    for round in 0..3 {
        work(broker.address, &format!("meanwhile {round}")).await;
        let grown = broker.resident().saturating_sub(before);
        println!("a slow reader takes {} MiB", grown / MIB);
        // The encoded response, and the records that it was made from.
        assert!(grown < 48 * MIB, "{grown} bytes");
    }
    for _ in 0..100 {
        let (_, rest) = answer(&mut slow).await;
        assert!(rest.len() > 1_000_000, "{}", rest.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promised_length_takes_memory_only_as_its_bytes_come() {
    let broker = ChildBroker::start();
    work(broker.address, "before").await;
    let before = broker.resident();
    let grown = || broker.resident().saturating_sub(before);
    let mut promises = Vec::new();
    for _ in 0..200 {
        promises.push(promise(broker.address).await);
    }
    work(broker.address, "meanwhile").await;
    println!("a promise of 100 MiB takes {} bytes", grown() / 200);
    assert!(grown() < 200 * PROMISED, "{} bytes", grown());

    // The broker keeps the bytes that have arrived, and frees them with the connection.
    let before_pieces = broker.resident();
    let piece = vec![1; 1 << 20];
    for round in 0..5 {
        let mut stream = promise(broker.address).await;
        for _ in 0..30 {
            within(stream.write_all(&piece)).await.unwrap();
        }
        let grown = || broker.resident().saturating_sub(before_pieces);
        within(async {
            while grown() < 20 * MIB {
                tokio::task::yield_now().await;
            }
        })
        .await;
        println!("30 MiB of it, time {round}, take {} MiB", grown() / MIB);
        assert!(grown() < 64 * MIB, "{} bytes", grown());
    }
}

/// Opens a connection that has announced a request of 100 MiB and sent the beginning of it.
async fn promise(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address).await;
    let mut start = (100i32 << 20).to_be_bytes().to_vec();
    start.extend(&request(PRODUCE, 3, 1, &[0; 100])[4..]);
    stream.write_all(&start).await.unwrap();
    stream
}

/// Returns a produce request (version 3) with one batch for partition 0 of "t".
fn produce(batch: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend((-1i16).to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    body.extend(1_000i32.to_be_bytes());
    body.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    body.extend((batch.len() as i32).to_be_bytes());
    body.extend(batch);
    request(PRODUCE, 3, 1, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_cut_at_any_byte_does_nothing() {
    const PREFIX: usize = 4;
    const HEADER: usize = PREFIX + 10;
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let batch = std::fs::read(broker.first_segment("t", 0)).unwrap();
    let metadata = request(METADATA, 1, 1, &[0, 0, 0, 1, 0, 1, b't']);
    let requests = [produce(&batch), fetch(&[0], 1, 0), metadata];
    let mut alive = connect(broker.address).await;
    for whole in &requests {
        for cut in 0..whole.len() {
            // The client disconnects in the middle of the request.
            let mut stream = connect(broker.address).await;
            stream.write_all(&whole[..cut]).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_closed(&mut stream).await;
            // The client announces only a part of the request.
            if cut >= HEADER {
                let mut short = whole[..cut].to_vec();
                short[..PREFIX].copy_from_slice(&((cut - PREFIX) as i32).to_be_bytes());
                alive.write_all(&short).await.unwrap();
                assert_eq!(answer(&mut alive).await.0, 1, "cut at {cut}");
            }
        }
    }
    let consumer: BaseConsumer = broker.client().create().unwrap();
    let watermarks = consumer.fetch_watermarks("t", 0, DEADLINE).unwrap();
    assert_eq!(watermarks, (0, 1), "half a batch is none");
    alive.write_all(&requests[0]).await.unwrap();
    answer(&mut alive).await;
    let watermarks = consumer.fetch_watermarks("t", 0, DEADLINE).unwrap();
    assert_eq!(watermarks, (0, 2), "and the whole is one");
}

/// Returns the supported APIs, each with its first and last version.
async fn supported(stream: &mut TcpStream) -> Vec<(i16, i16, i16)> {
    stream
        .write_all(&request(API_VERSIONS, 0, 1, b""))
        .await
        .unwrap();
    let (_, rest) = answer(stream).await;
    let number = |bytes: &[u8]| i16::from_be_bytes([bytes[0], bytes[1]]);
    // The error code and the number of APIs come first.
    rest[6..]
        .chunks_exact(6)
        .map(|api| (number(api), number(&api[2..]), number(&api[4..])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_after_a_valid_header_are_answered() {
    const NONSENSE: i32 = 1;
    const MARK: i32 = 2;
    /// Requests that wait as long as the client says, and random bytes may say a month.
    const WAITING: [ApiKey; 3] = [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let broker = TestBroker::start().await;
    let mut stream = connect(broker.address).await;
    let apis = supported(&mut stream).await;
    assert!(apis.len() >= 30, "{apis:?}");
    for (key, first, last) in apis {
        let api = ApiKey::try_from(key).unwrap();
        for version in (first..=last).flat_map(|version| [version; 8]) {
            let mut body = vec![0; random.usize(..300)];
            random.fill(&mut body);
            if api.request_header_version(version) >= 2 {
                // No tagged fields in the header.
                body.insert(0, 0);
            }
            let mut bytes = request(key, version, NONSENSE, &body);
            bytes.extend(request(API_VERSIONS, 0, MARK, b""));
            stream.write_all(&bytes).await.unwrap();
            let until_mark = async {
                while let Some((correlation, _)) = answer_or_end(&mut stream).await {
                    if correlation == MARK {
                        return true;
                    }
                    assert_eq!(correlation, NONSENSE);
                }
                false
            };
            if WAITING.contains(&api) {
                let waited = Duration::from_millis(500);
                match tokio::time::timeout(waited, until_mark).await {
                    Ok(alive) => assert!(alive, "{api:?} v{version} {body:?}"),
                    Err(_) => stream = connect(broker.address).await,
                }
            } else {
                assert!(within(until_mark).await, "{api:?} v{version} {body:?}");
            }
        }
    }
}

/// Returns 8 MB of text that compresses to about half: blocks of random characters, each twice.
fn compressible() -> String {
    let mut random = Rng::with_seed(8);
    let mut text = String::new();
    while text.len() < 8_000_000 {
        let block: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(80)
            .collect();
        text.push_str(&block);
        text.push_str(&block);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_8_mb_pass_in_every_codec_and_stay_in_it() {
    /// Position of the low byte of the attributes, whose lowest bits are the codec.
    const ATTRIBUTES: usize = 22;
    let broker = TestBroker::start().await;
    let text = compressible();
    for (number, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
        let producer: FutureProducer = broker
            .client()
            .set("compression.type", *codec)
            .set("message.max.bytes", "20000000")
            .create()
            .unwrap();
        send(&producer, codec, 0, [text.clone(), format!("{codec} ends")]).await;
        let stored = std::fs::read(broker.first_segment(codec, 0)).unwrap();
        assert_eq!(usize::from(stored[ATTRIBUTES] & 7), number, "{codec}");
        let got = receive(&broker.consumer(codec, &[codec]), 2).await;
        let got = texts(&got);
        assert!(got[0] == text && got[1] == format!("{codec} ends"));
    }
}
