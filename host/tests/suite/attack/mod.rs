//! Hostile clients, records and modules against one running daemon, one after the other: each is contained, and the daemon
//! is as it was afterwards. `cargo xtask attack` runs this and shows each attempt and its result.
//!
//! An attack that belongs to a promise of the daemon has a test of its own besides. Here they meet the same daemon.

mod access;
mod broker;
mod encrypted;
mod http;
mod modules;
mod records;

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use eventos_testkit::{Answer, Broker, Daemon, Setup, eventually};

use crate::EVENTOS;

/// How an attack was contained, or else the damage.
type Outcome = Result<String, String>;

/// What is tried, and how. The text of the attempt identifies an attack.
type NamedAttack = (&'static str, fn(&Target) -> Outcome);

/// The daemon under attack, with the handlers `probe` and `store` on the built-in broker.
struct Target {
    setup: Setup,
    daemon: Daemon,
    guarded: access::Guarded,
    encrypted: encrypted::Encrypted,
}

/// How long the daemon may take to answer an honest request after an attack.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a hostile client waits for an answer.
const HOSTILE_PATIENCE: Duration = Duration::from_secs(5);

/// Number of Eventos whose ids are in all partitions of the topic.
const FIRST_LETTERS: u32 = 20;

/// How much more memory the daemon may have at the end, in KiB: what allocators and caches keep.
const MEMORY_SLACK: u64 = 192 << 10;

/// How many more file descriptors it may have: connections that are being closed.
const DESCRIPTOR_SLACK: usize = 8;

impl Target {
    fn start() -> Self {
        let config = "[handlers.defaults]\ntimeout = \"500ms\"\nmax_failures = 100\n\
                      [kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n";
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], config);
        let daemon = setup.start();
        Self {
            setup,
            daemon,
            guarded: access::Guarded::start(),
            encrypted: encrypted::Encrypted::start(),
        }
    }

    fn http_address(&self) -> String {
        self.daemon.url("").replace("http://", "")
    }

    /// Sends bytes to the HTTP server, and returns the beginning of what comes back; empty if it closes the connection.
    fn send_raw(&self, bytes: &[u8]) -> String {
        exchange(&self.http_address(), bytes)
    }

    /// Has dead letters written for all partitions, since the producer of a worker connects to the broker when it is first used.
    fn use_all_producers(&self) {
        for n in 0..FIRST_LETTERS {
            let evento = format!(r#"{{"id":"first {n}","tipo":"panic"}}"#);
            self.daemon.send(&evento);
        }
        eventually("dead letters for all partitions", || {
            let letters = self.daemon.metric_sum("eventos_dead_letters_total");
            (letters >= f64::from(FIRST_LETTERS)).then_some(())
        });
    }

    /// Returns the number of open file descriptors of the daemon.
    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.daemon.pid());
        fs::read_dir(folder).expect("the daemon runs").count()
    }

    /// Returns the resident memory of the daemon in KiB.
    fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.daemon.pid());
        let status = fs::read_to_string(status).expect("the daemon runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|it| it.parse().ok()).expect("a number")
    }

    /// Checks that the daemon serves an honest client.
    fn check_alive(&self) -> Result<(), String> {
        let began = Instant::now();
        let answer = self.daemon.client().get(self.daemon.url("/healthz"));
        let answer = answer.timeout(PATIENCE).send();
        match answer {
            Ok(answer) if answer.status() == 200 => Ok(()),
            Ok(answer) => Err(format!("/healthz answers {}", answer.status())),
            Err(error) => Err(format!("/healthz: {error} after {:?}", began.elapsed())),
        }
    }
}

/// Sends bytes over a new connection, and returns the beginning of the answer; empty if there is none.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    // The daemon may have had enough before everything is sent.
    let _ = stream.write_all(bytes);
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    let timeout = Some(HOSTILE_PATIENCE);
    stream.set_read_timeout(timeout).expect("a socket option");
    stream.set_write_timeout(timeout).expect("a socket option");
    stream
}

/// Contained if the answer refuses the request as a mistake of the client.
fn refused(answer: &Answer) -> Outcome {
    match answer.status.is_client_error() {
        true => Ok(format!("refused with {}", answer.status)),
        false => Err(format!("answered {}: {}", answer.status, answer.text)),
    }
}

/// Contained if a raw answer is a refusal, or the connection was closed.
fn refused_or_closed(answer: &str) -> Outcome {
    let line = answer.lines().next().unwrap_or_default();
    match line {
        "" => Ok("the connection is closed".to_owned()),
        line if line.starts_with("HTTP/1.1 4") || line.starts_with("HTTP/1.1 5") => {
            Ok(format!("refused with {line}"))
        }
        line => Err(format!("answered {line}")),
    }
}

/// Returns every attack.
fn attacks() -> Vec<NamedAttack> {
    let lists = [
        http::ATTACKS,
        access::ATTACKS,
        encrypted::ATTACKS,
        broker::ATTACKS,
        records::ATTACKS,
        modules::ATTACKS,
    ];
    lists.concat()
}

#[test]
fn every_attack_is_contained() {
    let target = Target::start();
    target.daemon.send(r#"{"id":"before","tipo":"good"}"#);
    target.use_all_producers();
    let attacks = attacks();
    assert!(attacks.len() >= 40, "only {} attacks", attacks.len());
    // The first use of everything costs memory once.
    let (mut memory, descriptors) = (target.memory(), target.descriptors());
    let (mut report, mut failed) = (String::new(), 0);
    for (number, (what, run)) in (1..).zip(&attacks) {
        let outcome = run(&target).and_then(|became| target.check_alive().map(|()| became));
        let (mark, became) = match &outcome {
            Ok(became) => ("contained", became),
            Err(became) => ("NOT CONTAINED", became),
        };
        failed += u32::from(outcome.is_err());
        let became: String = became.chars().take(160).collect();
        let line = format!("{number:3}  {mark:<13}  {what}: {became}");
        println!("{line}");
        let _ = writeln!(report, "{line}");
        if number == attacks.len() / 2 {
            memory = memory.max(target.memory());
        }
    }
    assert_eq!(failed, 0, "{report}");
    check_afterwards(&target, memory, descriptors);
    assert!(target.daemon.stop().success());
}

/// Checks that the daemon is as it was, whatever it was made to do.
fn check_afterwards(target: &Target, memory: u64, descriptors: usize) {
    eventually("the daemon to be ready", || {
        (target.daemon.get("/readyz").status == 200).then_some(())
    });
    target.daemon.send(r#"{"id":"after","tipo":"good"}"#);
    eventually("what is sent now to be stored", || {
        (target.daemon.get("/messages/after").status == 200).then_some(())
    });
    assert_eq!(target.daemon.get("/messages/before").status, 200);
    eventually("the descriptors to be back", || {
        (target.descriptors() <= descriptors + DESCRIPTOR_SLACK).then_some(())
    });
    let now = target.memory();
    println!(
        "memory {memory} KiB before, {now} KiB after; descriptors {descriptors} before, {} after",
        target.descriptors()
    );
    assert!(
        now <= memory + MEMORY_SLACK,
        "{now} KiB, {memory} KiB before"
    );
}
