//! Requests that no well-behaved client sends.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::{support::*, wire::*};

const UPDATE_FEATURES: i16 = 57;
const UNSUPPORTED_VERSION: i16 = 35;

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_lacking_is_answered_and_the_connection_lives() {
    let broker = TestBroker::start().await;
    let mut stream = connect(broker.address).await;
    for (key, version) in [(999, 0), (-5, 7), (FETCH, 99), (FETCH, 0), (0, 2)] {
        stream
            .write_all(&request(key, version, 7, b""))
            .await
            .unwrap();
        let (correlation, rest) = answer(&mut stream).await;
        assert_eq!(correlation, 7);
        assert!(
            rest.ends_with(&UNSUPPORTED_VERSION.to_be_bytes()),
            "{key} v{version}: {rest:?}"
        );
    }
    // The throttle time comes first in this schema.
    stream
        .write_all(&request(UPDATE_FEATURES, 0, 8, b""))
        .await
        .unwrap();
    let (correlation, rest) = answer(&mut stream).await;
    assert_eq!((correlation, &rest[..7]), (8, &[0, 0, 0, 0, 0, 0, 35][..]));
    assert_alive(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_read_is_answered() {
    let broker = TestBroker::start().await;
    let mut stream = connect(broker.address).await;
    // A fetch that announces 2^31 - 1 topics and has none.
    let mut body = vec![0; 17];
    body.extend(i32::MAX.to_be_bytes());
    stream
        .write_all(&request(FETCH, 4, 1, &body))
        .await
        .unwrap();
    assert_eq!(answer(&mut stream).await.0, 1);
    for (key, version) in [(3, 1), (11, 0), (0, 3), (9, 1)] {
        stream
            .write_all(&request(key, version, 2, b"\xff"))
            .await
            .unwrap();
        assert_eq!(answer(&mut stream).await.0, 2);
    }
    assert_alive(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_no_frame_closes_the_connection() {
    let broker = TestBroker::start().await;
    for length in [-1, i32::MIN, i32::MAX, (100 << 20) + 1] {
        let mut stream = connect(broker.address).await;
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert_closed(&mut stream).await;
    }
    let mut stream = connect(broker.address).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_closed(&mut stream).await;
    let mut stream = connect(broker.address).await;
    stream.write_all(&[0, 0, 0, 3, 1, 2, 3]).await.unwrap();
    assert_closed(&mut stream).await;
    assert_alive(&mut connect(broker.address).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_is_waited_for() {
    let broker = TestBroker::start().await;
    let mut stream = connect(broker.address).await;
    let bytes = request(API_VERSIONS, 0, 5, b"");
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&mut stream).await.0, 5);
    // A request that is announced with 99 MB and never sent affects no other client.
    let mut idle = connect(broker.address).await;
    idle.write_all(&(99i32 << 20).to_be_bytes()).await.unwrap();
    assert_alive(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_in_their_order() {
    let broker = TestBroker::start().await;
    let mut stream = connect(broker.address).await;
    let mut all = Vec::new();
    for i in 0..500 {
        all.extend(request(
            if i % 3 == 0 { 999 } else { API_VERSIONS },
            0,
            i,
            b"",
        ));
    }
    stream.write_all(&all).await.unwrap();
    for i in 0..500 {
        assert_eq!(answer(&mut stream).await.0, i);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_its_time_and_no_longer() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let mut stream = connect(broker.address).await;
    let mut time = async |request: Vec<u8>| {
        let start = Instant::now();
        stream.write_all(&request).await.unwrap();
        let (_, rest) = answer(&mut stream).await;
        (start.elapsed(), rest.len())
    };
    let (waited, empty) = time(fetch(&[1], 1, 300)).await;
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    let (waited, with_record) = time(fetch(&[0], 1, 20_000)).await;
    assert!(waited < Duration::from_secs(10) && with_record > empty);
    let (waited, _) = time(fetch(&[0], 1_000_000, 300)).await;
    assert!(
        waited >= Duration::from_millis(300),
        "min_bytes is honoured: {waited:?}"
    );
    let (waited, _) = time(fetch(&[99], 1, 20_000)).await;
    assert!(
        waited < Duration::from_secs(10),
        "an error is returned at once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_wakes_at_an_append_to_any_of_its_partitions() {
    let broker = TestBroker::start().await;
    let producer = broker.producer();
    let mut offsets = [0; 4];
    send(&producer, "t", 0, ["x".to_owned()]).await;
    offsets[0] = 1;
    let mut stream = connect(broker.address).await;
    for partition in [3, 0, 2, 1, 3] {
        let start = Instant::now();
        stream.write_all(&fetch(&offsets, 1, 20_000)).await.unwrap();
        send(&producer, "t", partition, ["needle".to_owned()]).await;
        let (_, rest) = answer(&mut stream).await;
        assert!(rest.windows(6).any(|window| window == b"needle"));
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        offsets[partition as usize] += 1;
    }
}
