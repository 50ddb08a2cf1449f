//! Bodies that are compressed.

use async_compression::tokio::bufread::{GzipEncoder, ZlibEncoder, ZstdEncoder};
use reqwest::Response;
use tokio::io::AsyncReadExt as _;

use super::{Seen, Server, acknowledging, header, problem, recording};

const ENCODINGS: [&str; 4] = ["gzip", "X-Gzip", "deflate", "zstd"];

async fn pack(encoding: &str, text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let read = match encoding {
        "deflate" => ZlibEncoder::new(text).read_to_end(&mut packed).await,
        "zstd" => ZstdEncoder::new(text).read_to_end(&mut packed).await,
        _ => GzipEncoder::new(text).read_to_end(&mut packed).await,
    };
    read.expect("memory can be read");
    packed
}

impl Server {
    async fn send_packed(&self, path: &str, encoding: &str, body: Vec<u8>) -> Response {
        let request = self.client.post(self.url(path)).body(body);
        let request = request.header("content-type", "application/json");
        let request = request.header("content-encoding", encoding);
        request.send().await.expect("it answers")
    }
}

fn evento(pad: usize) -> String {
    format!(r#"{{"id":1,"tipo":"t","x":"{}"}}"#, "x".repeat(pad))
}

#[tokio::test]
async fn a_compressed_body_is_unpacked_and_limited_by_what_is_in_it() {
    let seen = Seen::default();
    let server = Server::start(recording(&seen)).await;
    for encoding in ENCODINGS {
        let one = evento(900_000);
        let sent = server
            .send_packed("/send", encoding, pack(encoding, one.as_bytes()).await)
            .await;
        assert_eq!(sent.status(), 200, "{encoding}");
        assert_eq!(
            seen.lock().expect("not poisoned").pop(),
            Some(one.into_bytes())
        );
        let large = pack(encoding, evento(3_000_000).as_bytes()).await;
        assert!(large.len() < 100_000);
        problem(server.send_packed("/send", encoding, large).await, 413).await;

        let lines = format!("{}\n", evento(50)).repeat(1_000);
        let packed = pack(encoding, lines.as_bytes()).await;
        let sent = server.send_packed("/send/batch", encoding, packed).await;
        assert_eq!(sent.status(), 200, "{encoding}");
        let lines = sent.text().await.expect("whole");
        assert_eq!(lines.matches("message sent").count(), 1_000, "{encoding}");
    }
    let plain = server.send_packed("/send", "identity", evento(1).into_bytes());
    assert_eq!(plain.await.status(), 200);
}

#[tokio::test]
async fn no_member_of_a_body_is_lost() {
    let server = Server::start(acknowledging()).await;
    for encoding in ["gzip", "zstd"] {
        let line = format!("{}\n", evento(50));
        let member = pack(encoding, line.as_bytes()).await;
        let sent = server
            .send_packed("/send/batch", encoding, member.repeat(7))
            .await;
        let lines = sent.text().await.expect("whole");
        assert_eq!(
            lines.matches("message sent").count(),
            7,
            "{encoding}: {lines}"
        );
    }
}

#[tokio::test]
async fn other_encodings_are_refused_with_those_that_are_accepted() {
    let server = Server::start(acknowledging()).await;
    for (path, encoding) in [
        ("/send", "br"),
        ("/send/batch", "compress"),
        ("/send/batch", "gzip, gzip"),
        ("/nowhere", "br"),
    ] {
        let body = evento(1).into_bytes();
        let refused = server.send_packed(path, encoding, body).await;
        assert_eq!(header(&refused, "accept-encoding"), "gzip, deflate, zstd");
        let problem = problem(refused, 415).await;
        assert_eq!(problem["type"], "urn:eventos:problem:content-encoding");
        assert!(
            problem["detail"].to_string().contains(encoding),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_never_answered_as_if_it_were_whole() {
    let server = Server::start(acknowledging()).await;
    let lines = format!("{}\n", evento(50)).repeat(20_000);
    for encoding in ["gzip", "deflate", "zstd"] {
        let packed = pack(encoding, lines.as_bytes()).await;
        for broken in [lines.clone().into_bytes(), packed[..20].to_vec()] {
            let refused = server.send_packed("/send/batch", encoding, broken).await;
            let detail = problem(refused, 400).await["detail"].to_string();
            assert!(
                detail.contains(&format!("not valid {encoding}")),
                "{detail}"
            );
        }
        for length in [packed.len() / 2, packed.len() - 1] {
            let part = packed[..length].to_vec();
            let cut = server
                .send_packed("/send/batch", encoding, part.clone())
                .await;
            if cut.status() == 200 {
                assert!(
                    cut.text().await.is_err(),
                    "{encoding}: it seems to be whole"
                );
            }
            let cut = server.send_packed("/send", encoding, part).await;
            assert!(matches!(cut.status().as_u16(), 400 | 413), "{encoding}");
        }
    }
}

/// A frame may name a window of gigabytes, which its reader has to keep in memory.
#[tokio::test]
async fn a_zstd_frame_with_a_large_window_is_refused() {
    let server = Server::start(acknowledging()).await;
    // The magic number, a frame with a window of 16 MiB and without a length, and a last block of one byte, twelve times.
    let window = |log: u8| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
        frame.extend([0x63, 0, 0, b' ']);
        frame
    };
    let large = server.send_packed("/send/batch", "zstd", window(24)).await;
    problem(large, 400).await;
    let fits = server.send_packed("/send/batch", "zstd", window(23)).await;
    assert_eq!(fits.status(), 200);
}
