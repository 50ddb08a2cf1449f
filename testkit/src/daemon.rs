//! A daemon in a process of its own, with its own folder, ports and configuration.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use reqwest::{
    Method,
    blocking::{Client, RequestBuilder},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Answer, Broker, DEADLINE, Issued, ReceivedRecord, blocking_client, eventually, handler,
    program::{OutputReader, send_signal},
    read_topic, wait_until_committed,
};

/// The folder and the configuration of a daemon. They outlive it: a daemon that is started again finds the data of the one
/// before.
pub struct Setup {
    /// Path of the executable.
    program: String,
    /// Folder with the configuration, the drop-in folder and the data of the built-in broker.
    pub dir: TempDir,
    /// Prefix of the names of topics and group. It is unique, so that all tests can share one Kafka.
    pub name: String,
    /// Value of `kafka.bootstrap_servers`; for example, the address of another daemon's broker.
    pub servers: String,
    /// Value of `embedded.listen`. The default is a free port; a test that starts the daemon again at the same address sets one.
    pub broker_listen: String,
    /// Environment variables of the daemon, see [`Setup::set_env`].
    environment: Vec<(String, String)>,
    /// Value of `handlers.cache`. All tests share one folder, except those that look into it.
    pub cache: PathBuf,
    /// The key that this process sends to the daemon with every request.
    pub key: Option<String>,
    /// The authorities that this process trusts if the daemon serves with TLS, in PEM.
    pub ca: Option<String>,
    /// The certificate that this process shows to the daemon if it asks for one.
    pub client_certificate: Option<Issued>,
    /// A command that runs the daemon, if it is not started directly. The daemon's command line follows it.
    pub wrapper: Vec<String>,
    /// More configuration, in TOML.
    config: String,
}

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

impl Setup {
    /// Prepares a daemon of the executable `program` on this broker, with these handlers in this order, and with `config` (TOML)
    /// added to its configuration.
    #[must_use]
    pub fn new(program: &str, broker: Broker, handlers: &[&str], config: &str) -> Self {
        let dir = TempDir::with_prefix("eventos-").expect("a folder");
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).expect("the drop-in folder is created");
        for (i, name) in handlers.iter().enumerate() {
            let to = plugins.join(format!("{i}0-{name}.wasm"));
            fs::copy(handler(name), to).expect("the handler is copied");
        }
        let name = dir.path().file_name().expect("a name");
        // The program is in a folder for its profile, such as `target/debug`.
        let target = Path::new(program).ancestors().nth(2);
        Self {
            program: program.to_owned(),
            name: name.to_string_lossy().into_owned(),
            dir,
            servers: broker.servers(),
            broker_listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            cache: target.expect("a target folder").join("tmp/handlers"),
            key: None,
            ca: None,
            client_certificate: None,
            wrapper: Vec::new(),
            config: config.to_owned(),
        }
    }

    /// Returns the name of the topic of Eventos.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{}-eventos", self.name)
    }

    /// Returns the name of the dead-letter topic.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}-dead", self.name)
    }

    /// Adds configuration (TOML) that could not be given to [`Setup::new`] because it contains the names of this setup.
    pub fn add_config(&mut self, config: &str) {
        self.config.push_str(config);
    }

    /// Sets an environment variable of the daemon.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Makes the daemon serve with TLS, with a certificate that `ca` has issued.
    pub fn use_certificate(&mut self, issued: &Issued, ca: &str) {
        self.write_certificate(issued);
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| self.path(name));
        self.add_config(&format!(
            "\n[http.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
        ));
        self.ca = Some(ca.to_owned());
    }

    /// Replaces the files of [`Setup::use_certificate`].
    pub fn write_certificate(&self, issued: &Issued) {
        self.write("certificate.pem", &issued.certificate);
        self.write("key.pem", &issued.key);
    }

    /// Writes a file into the folder, which only this user can read, and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the file is written");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, private).expect("it is our file");
        path
    }

    /// Returns the path of a file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration file and returns its path.
    pub fn write_config(&self) -> PathBuf {
        let path = self.dir.path().join("eventos.toml");
        let [plugins, data] = ["plugins", "broker"].map(|name| self.dir.path().join(name));
        let config = format!(
            "[kafka]\nbootstrap_servers = {:?}\ntopic = {:?}\ngroup_id = {:?}\n\
             [embedded]\nlisten = {:?}\ndir = {data:?}\n\
             [delivery]\ndead_letter_topic = {:?}\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\
             [handlers]\ndir = {plugins:?}\ncache = {:?}\n{}\n",
            self.servers,
            self.topic(),
            self.name,
            self.broker_listen,
            self.dead_letter_topic(),
            self.cache,
            self.config,
        );
        fs::write(&path, config).expect("the configuration is written");
        path
    }

    /// Starts the daemon and waits until it is ready.
    #[must_use]
    pub fn start(&self) -> Daemon {
        let daemon = self.start_listening();
        daemon.wait_until_ready();
        daemon
    }

    /// Starts the daemon and waits until it listens, but not until it is ready.
    #[must_use]
    pub fn start_listening(&self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.http = daemon.wait_for_log_word("listening on ", "listening on ");
        if daemon.broker == "embedded" {
            daemon.broker = daemon.wait_for_log_word("built-in broker listening", "address=");
        }
        daemon
    }

    /// Starts the daemon, and checks that it exits with code 1 before it listens. Returns its log.
    pub fn expect_start_failure(&self) -> String {
        let (status, log) = self.spawn().wait_for_exit();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(!log.contains("listening on"), "{log}");
        log
    }

    /// Starts the daemon and waits for nothing; it may fail to start.
    #[must_use]
    pub fn spawn(&self) -> Daemon {
        let program = self.program.clone();
        let mut words = self.wrapper.iter().cloned().chain([program]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["serve", "--config"])
            .arg(self.write_config())
            .envs(self.environment.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let log = OutputReader::new(child.stderr.take().expect("piped"));
        Daemon {
            child,
            log,
            http: String::new(),
            broker: self.servers.clone(),
            client: blocking_client(
                self.key.as_deref(),
                self.ca.as_deref(),
                self.client_certificate.as_ref(),
            ),
        }
    }

    /// Waits until the group has committed every record of the topic of Eventos.
    pub fn wait_until_committed(&self, daemon: &Daemon) {
        wait_until_committed(daemon.broker(), &self.name, &self.topic());
    }

    /// Reads the dead-letter topic, in the order of the records that the dead letters were made from.
    #[must_use]
    pub fn read_dead_letters(&self, daemon: &Daemon) -> Vec<ReceivedRecord> {
        let letters = read_topic(daemon.broker(), &self.dead_letter_topic());
        let mut letters: Vec<_> = letters.into_iter().map(ReceivedRecord::from).collect();
        letters.sort_by_key(|letter| {
            let number = |name| letter.header(name).parse::<i64>().expect("a number");
            let names = ["__connect.errors.partition", "__connect.errors.offset"];
            names.map(number)
        });
        letters
    }
}

impl Daemon {
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
