//! A daemon in a process of its own, with a folder, ports and a configuration of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Broker, Received, eventually, handler, read_topic};

/// A daemon's folder, which outlives it: what is started on it again finds what was there.
pub struct Setup {
    /// The program, as `CARGO_BIN_EXE_eventos` has it.
    program: String,
    /// The folder.
    pub dir: TempDir,
    /// Topics and group are named after it, so that suites share one Kafka.
    pub name: String,
    /// As `kafka.bootstrap_servers` has it; another daemon's broker, for one.
    pub servers: String,
    /// Where the broker inside listens: on a free port, unless a test needs the same one again.
    pub broker_listen: String,
    /// Variables that are set for the daemon, see [`Setup::set`].
    environment: Vec<(String, String)>,
    /// Where compiled handlers are kept: one folder for all tests, unless one looks into its own.
    pub cache: PathBuf,
    /// A command that runs the daemon, if it is not run by itself; the daemon's own command line follows.
    pub wrapper: Vec<String>,
    more: String,
}

/// A running daemon. It is killed when dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Fills the log until the daemon ends.
    reader: Option<thread::JoinHandle<()>>,
    http: String,
    broker: String,
    client: reqwest::blocking::Client,
}

impl Setup {
    /// On this broker, with these handlers in this order, and more configuration (TOML).
    pub fn new(program: &str, broker: Broker, handlers: &[&str], more: &str) -> Self {
        let dir = TempDir::with_prefix("eventos-").expect("a folder");
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).expect("made");
        for (i, name) in handlers.iter().enumerate() {
            let to = plugins.join(format!("{i}0-{name}.wasm"));
            fs::copy(handler(name), to).expect("copied");
        }
        let name = dir.path().file_name().expect("a name");
        // Of the target folder that the program was built into.
        let target = Path::new(program).ancestors().nth(2).expect("a target");
        Self {
            program: program.to_owned(),
            name: name.to_string_lossy().into_owned(),
            dir,
            servers: broker.servers(),
            broker_listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            cache: target.join("tmp/handlers"),
            wrapper: Vec::new(),
            more: more.to_owned(),
        }
    }

    /// The topic of Eventos.
    pub fn topic(&self) -> String {
        format!("{}-eventos", self.name)
    }

    /// The topic of dead letters.
    pub fn dead_letters(&self) -> String {
        format!("{}-dead", self.name)
    }

    /// Adds configuration (TOML) that needs the names of this setup.
    pub fn configure(&mut self, more: &str) {
        self.more.push_str(more);
    }

    /// Sets a variable for the daemon.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes the configuration; answers where.
    pub fn config(&self) -> PathBuf {
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
            self.dead_letters(),
            self.cache,
            self.more,
        );
        fs::write(&path, config).expect("written");
        path
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&self) -> Daemon {
        let daemon = self.spawn();
        daemon.wait_until_ready();
        daemon
    }

    /// Starts the daemon, which must not come to listen but end with 1; answers with what it said.
    pub fn refused(&self) -> String {
        let (status, said) = self.launch().wait();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(!said.contains("listening on"), "{said}");
        said
    }

    /// What is in the topic of dead letters now, in the order of what is dead.
    pub fn read_dead_letters(&self, daemon: &Daemon) -> Vec<Received> {
        let letters = read_topic(daemon.broker(), &self.dead_letters());
        let mut letters: Vec<_> = letters.into_iter().map(Received::from).collect();
        letters.sort_by_key(|letter| {
            let number = |name| letter.header(name).parse::<i64>().expect("a number");
            let names = ["__connect.errors.partition", "__connect.errors.offset"];
            names.map(number)
        });
        letters
    }

    /// Starts the daemon and waits until it listens.
    pub fn spawn(&self) -> Daemon {
        let mut daemon = self.launch();
        daemon.http = daemon.wait_for_log("listening on ", "listening on ");
        if daemon.broker == "embedded" {
            daemon.broker = daemon.wait_for_log("built-in broker listening", "address=");
        }
        daemon
    }

    /// Starts the daemon and waits for nothing: it may well fail.
    pub fn launch(&self) -> Daemon {
        let program = self.program.clone();
        let mut words = self.wrapper.iter().cloned().chain([program]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["serve", "--config"])
            .arg(self.config())
            .envs(self.environment.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().expect("piped"), Arc::clone(&log));
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        });
        Daemon {
            child,
            log,
            reader: Some(reader),
            http: String::new(),
            broker: self.servers.clone(),
            client: reqwest::blocking::Client::new(),
        }
    }
}

impl Daemon {
    /// Waits until `/readyz` says so.
    pub fn wait_until_ready(&self) {
        eventually("the daemon to be ready", || {
            let ready = self.client.get(self.url("/readyz")).send();
            ready.ok().filter(|answer| answer.status() == 200)
        });
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of one of its pages.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.http)
    }

    /// Where its broker listens, inside or not.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// An HTTP client.
    pub fn client(&self) -> &reqwest::blocking::Client {
        &self.client
    }

    /// Sends one Evento; answers with the parsed body.
    pub fn send(&self, evento: &str) -> Value {
        let request = self.client.post(self.url("/send"));
        let request = request.header("content-type", "application/json");
        let answer = request.body(evento.to_owned()).send().expect("answered");
        let (status, text) = (answer.status(), answer.text().expect("a body"));
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// What `GET /messages` with this query shows, as raw text.
    pub fn messages(&self, query: &str) -> String {
        let url = self.url(&format!("/messages{query}"));
        let answer = self.client.get(url).send().expect("answered");
        assert_eq!(answer.status(), 200);
        answer.text().expect("a body")
    }

    /// Waits until so many Eventos are stored, no fewer and no more; answers them, oldest first.
    pub fn wait_for_messages(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} stored Eventos"), || {
            let text = self.messages(&format!("?limit={}", count + 1));
            let stored: Vec<Value> = serde_json::from_str(&text).expect("JSON");
            assert!(stored.len() <= count, "{} are stored", stored.len());
            (stored.len() == count).then_some(stored)
        })
    }

    /// Waits until so many records are consumed, no fewer and no more: all that they bring about has
    /// happened then, so what has not is not going to.
    pub fn wait_for_consumed(&self, count: u32) {
        eventually(&format!("{count} consumed records"), || {
            let of = |p| self.metric(&format!("eventos_consumed_total{{partition=\"{p}\"}}"));
            let consumed: f64 = (0..4).filter_map(of).sum();
            assert!(consumed <= f64::from(count), "{consumed} are consumed");
            (consumed >= f64::from(count)).then_some(())
        });
    }

    /// The value of a metric's line, given as it stands before the space.
    pub fn metric(&self, line: &str) -> Option<f64> {
        let answer = self
            .client
            .get(self.url("/metrics"))
            .send()
            .expect("answered");
        let text = answer.text().expect("a body");
        let found = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        found.map(|value| value.parse().expect("a number"))
    }

    /// A counter or gauge of this name, over all its labels.
    pub fn sum(&self, name: &str) -> f64 {
        let answer = self.client.get(self.url("/metrics")).send();
        let text = answer.expect("answered").text().expect("a body");
        let line = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let whole = labels.is_empty() || labels.starts_with('{');
            whole.then(|| value.parse::<f64>().expect("a number"))
        };
        text.lines().filter_map(line).sum()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").join("\n")
    }

    /// What it has logged once a line holds `text`: lines may come a moment later than what they tell of.
    pub fn log_with(&self, text: &str) -> String {
        eventually(&format!("{text:?} in the log"), || {
            let log = self.log();
            log.contains(text).then_some(log)
        })
    }

    /// Waits for a line of the log that holds `text`; answers the word after `before` in it.
    pub fn wait_for_log(&self, text: &str, before: &str) -> String {
        eventually(&format!("{text:?} in the log"), || {
            let log = self.log.lock().expect("no panic");
            let line = log.iter().find(|line| line.contains(text))?;
            let (_, after) = line.split_once(before)?;
            after.split_whitespace().next().map(str::to_owned)
        })
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("kill").args([signal, pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        eventually("the daemon to end", || {
            self.child.try_wait().expect("waited")
        })
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("waited").is_some()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = eventually("the daemon to end", || {
            self.child.try_wait().expect("waited")
        });
        let reader = self.reader.take().expect("it is taken once");
        reader.join().expect("no panic");
        (status, self.log())
    }

    /// kill -9.
    pub fn kill(self) {}
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
