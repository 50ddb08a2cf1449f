//! Restarts and kills, and the lock of the folder.

use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use eventos_broker::{Broker, Config, Error};

use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_in_a_kill() {
    let mut broker = TestBroker::start().await;
    for round in 0..3 {
        let texts = numbered("m", round * 1000..(round + 1) * 1000);
        send(&broker.producer(), "t", 0, texts).await;
        broker = broker.restart_after(|| {}).await;
    }
    let got = receive(&broker.consumer("g", &["t"]), 3000).await;
    assert_eq!(texts(&got), numbered("m", 0..3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_in_order_keeps_everything_too() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, numbered("m", 0..10)).await;
    let dir = broker.stop().await;
    let again = Broker::start(config(dir.path())).await;
    assert!(again.is_ok(), "the lock is released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_and_written_over() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, numbered("m", 0..10)).await;
    let path = broker.first_segment("t", 0);
    let whole = fs::metadata(&path).unwrap().len();
    let broker = broker
        .restart_after(|| {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            let half = fs::read(&path).unwrap()[..50].to_vec();
            file.write_all(&half).unwrap();
        })
        .await;
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    assert_eq!(
        send(&broker.producer(), "t", 0, numbered("m", 10..20)).await,
        19
    );
    let got = receive(&broker.consumer("g", &["t"]), 20).await;
    assert_eq!(texts(&got), numbered("m", 0..20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_broker_at_a_time() {
    let broker = TestBroker::start().await;
    let refused = Broker::start(config(broker.dir())).await.unwrap_err();
    assert!(matches!(refused, Error::Locked(_)), "{refused}");
    assert!(refused.to_string().contains("another"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    for listen in ["0.0.0.0:0", "192.168.1.1:9092", "[::]:0"] {
        let config = Config {
            listen: listen.parse().unwrap(),
            ..config(dir.path())
        };
        let refused = Broker::start(config).await.unwrap_err();
        assert!(matches!(refused, Error::NotLoopback(_)), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let broker = TestBroker::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        listen: broker.address,
        ..config(dir.path())
    };
    let refused = Broker::start(config).await.unwrap_err();
    assert!(
        refused.to_string().contains(&broker.address.to_string()),
        "{refused}"
    );
}
