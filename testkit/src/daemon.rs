//! A daemon in a process of its own.

use std::{
    process::{Child, ExitStatus},
    thread,
};

use reqwest::{
    Method,
    blocking::{Client, RequestBuilder},
};
use serde_json::Value;

use crate::{
    Answer, DEADLINE, eventually,
    program::{OutputReader, send_signal},
};

/// A running daemon. It is killed when this is dropped.
pub struct Daemon {
    child: Child,
    log: OutputReader,
    /// URL of its HTTP server.
    http: String,
    /// Address of the broker that it uses.
    broker: String,
    client: Client,
}

impl Daemon {
    /// Takes over a process that was started with a pipe for its log. `broker` is the value of `kafka.bootstrap_servers`.
    pub(crate) fn new(mut child: Child, broker: String, client: Client) -> Self {
        let log = OutputReader::new(child.stderr.take().expect("piped"));
        Self {
            child,
            log,
            http: String::new(),
            broker,
            client,
        }
    }

    /// Waits until it listens, and takes note of its addresses.
    pub(crate) fn wait_until_listening(&mut self) {
        self.http = self.wait_for_log_word("listening on ", "listening on ");
        if self.broker == "embedded" {
            self.broker = self.wait_for_log_word("built-in broker listening", "address=");
        }
    }

    /// Waits until `/readyz` responds with 200.
    pub fn wait_until_ready(&self) {
        eventually("the daemon to be ready", || {
            let ready = self.client.get(self.url("/readyz")).send();
            ready.ok().filter(|answer| answer.status() == 200)
        });
    }

    /// Returns the id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the URL for a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.http)
    }

    /// Returns the address of the broker that it uses, built in or not.
    #[must_use]
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// Returns an HTTP client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns a request that has not been sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // Longer than the default, because the daemon waits 20 seconds for a peer that does not answer.
        self.client
            .request(method, self.url(path))
            .timeout(DEADLINE)
    }

    /// Sends a GET request and returns the answer, whatever its status.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path))
    }

    /// Sends a POST request without a body and returns the answer, whatever its status.
    pub fn post(&self, path: &str) -> Answer {
        send(self.request(Method::POST, path))
    }

    /// Pauses a handler, and with it the chain.
    pub fn pause(&self, handler: &str) {
        self.post(&format!("/handlers/{handler}/pause"))
            .assert_status(200);
    }

    /// Resumes a handler.
    pub fn resume(&self, handler: &str) {
        self.post(&format!("/handlers/{handler}/resume"))
            .assert_status(200);
    }

    /// Sends a POST request with a body and returns the answer, whatever its status.
    pub fn post_body(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::POST, path);
        send(
            request
                .header("content-type", content_type)
                .body(body.into()),
        )
    }

    /// Sends a DELETE request and returns the answer, whatever its status.
    pub fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path))
    }

    /// Sends a PUT request with a body and returns the answer, whatever its status.
    pub fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::PUT, path);
        send(
            request
                .header("content-type", "application/wasm")
                .body(body.into()),
        )
    }

    /// Sends one Evento to `/send`, which must answer 200, and returns the parsed body.
    pub fn send(&self, evento: &str) -> Value {
        let answer = self.post_body("/send", "application/json", evento);
        answer.assert_status(200).json()
    }

    /// Sends Eventos to `/send/batch`, and checks that each is acknowledged.
    pub fn send_all(&self, eventos: &[String]) {
        let answer = self.post_body("/send/batch", "application/x-ndjson", eventos.join("\n"));
        let lines = answer.assert_status(200).json_lines();
        assert_eq!(lines.len(), eventos.len());
        for (i, line) in lines.iter().enumerate() {
            assert_eq!(line["status"], "message sent", "{line}");
            assert_eq!(line["index"], i, "{line}");
        }
    }

    /// Returns the body of `GET /messages` with this query, which must answer 200.
    #[must_use]
    pub fn messages(&self, query: &str) -> String {
        let answer = self.get(&format!("/messages{query}"));
        answer.assert_status(200);
        answer.text
    }

    /// Waits until exactly `count` Eventos are stored; more than that is an error. Returns them, oldest first.
    pub fn wait_for_messages(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} stored Eventos"), || {
            let text = self.messages(&format!("?limit={}", count + 1));
            let stored: Vec<Value> = serde_json::from_str(&text).expect("JSON");
            assert!(stored.len() <= count, "{} are stored", stored.len());
            (stored.len() == count).then_some(stored)
        })
    }

    /// Waits until exactly `count` records are consumed; more than that is an error. A record counts as consumed only after all
    /// of its effects, so afterwards a test can also check that something has not happened.
    pub fn wait_for_consumed(&self, count: u32) {
        eventually(&format!("{count} consumed records"), || {
            let of = |p| self.metric(&format!("eventos_consumed_total{{partition=\"{p}\"}}"));
            let consumed: f64 = (0..4).filter_map(of).sum();
            assert!(consumed <= f64::from(count), "{consumed} are consumed");
            (consumed >= f64::from(count)).then_some(())
        });
    }

    /// Returns the text of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.get("/metrics").text
    }

    /// Returns the value of one metric, given by its name and labels as they are in the text before the space.
    #[must_use]
    pub fn metric(&self, name_and_labels: &str) -> Option<f64> {
        let text = self.metrics();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a number"))
    }

    /// Returns the sum of a counter or gauge over all its labels.
    #[must_use]
    pub fn metric_sum(&self, name: &str) -> f64 {
        let text = self.metrics();
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_whole_name = labels.is_empty() || labels.starts_with('{');
            is_whole_name.then(|| value.parse::<f64>().expect("a number"))
        };
        text.lines().filter_map(value).sum()
    }

    /// Returns the log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until the log contains `text`, and returns the log. A log line may come a moment after the event that it reports.
    pub fn wait_for_log(&self, text: &str) -> String {
        eventually(&format!("{text:?} in the log"), || {
            let log = self.log();
            log.contains(text).then_some(log)
        })
    }

    /// Waits until a line of the log contains `text`, and returns the word that follows `before` in that line.
    pub fn wait_for_log_word(&self, text: &str, before: &str) -> String {
        eventually(&format!("{text:?} in the log"), || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(text))?;
            let (_, after) = line.split_once(before)?;
            after.split_whitespace().next().map(str::to_owned)
        })
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        send_signal(self.child.id(), name);
    }

    /// Sends SIGTERM, waits until the daemon exits, and returns its exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_status()
    }

    /// Returns whether the daemon has exited.
    #[must_use]
    pub fn has_exited(&mut self) -> bool {
        let status = self.child.try_wait();
        status.expect("the child can be waited for").is_some()
    }

    /// Waits until the daemon exits, and returns its exit status and its log.
    pub fn wait_for_exit(mut self) -> (ExitStatus, String) {
        let status = self.wait_for_status();
        self.log.join();
        (status, self.log())
    }

    fn wait_for_status(&mut self) -> ExitStatus {
        eventually("the daemon to exit", || {
            self.child.try_wait().expect("the child can be waited for")
        })
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(self) {}
}

/// Returns an HTTP client that sends this key.
fn send(request: RequestBuilder) -> Answer {
    request.send().expect("the daemon answers").into()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}
