//! The load generator, wrk, and what it prints.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use eventos_testkit::root;

/// Connections that are kept alive, with one request in flight on each.
pub(super) const CONNECTIONS: &str = "64";

/// What wrk has measured.
pub(super) struct Load {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    /// The median and the 99th percentile of the latency, in milliseconds.
    pub(super) latencies: [f64; 2],
    /// Seconds of CPU of wrk itself.
    pub(super) cpu: f64,
}

/// Sends requests with this number of Eventos each for some seconds. All must be answered with 2xx.
pub(super) fn run(url: &str, seconds: u64, eventos: u64) -> Load {
    let cpu = children_seconds();
    let output = Command::new("wrk")
        .args(["-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s")])
        .args(["--timeout", "30s", "-s"])
        .arg(script())
        .args([url, "--", &eventos.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("wrk starts: run this as `cargo xtask bench produce`, which installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("figures "));
    let line = line.unwrap_or_else(|| panic!("wrk has failed:\n{text}"));
    let figures: Vec<f64> = line
        .split(' ')
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [requests, microseconds, failed, median, p99] = figures[..] else {
        panic!("wrk has printed {line:?}");
    };
    assert!(failed == 0.0, "{failed} requests to {url} failed:\n{text}");
    Load {
        requests,
        seconds: microseconds / 1e6,
        latencies: [median / 1e3, p99 / 1e3],
        cpu: children_seconds() - cpu,
    }
}

fn script() -> PathBuf {
    root().join("bench/src/produce/load.lua")
}

/// Returns the CPU seconds of all processes that this one has started and that have ended.
fn children_seconds() -> f64 {
    /// The number of ticks in a second: `sysconf(_SC_CLK_TCK)` on every Linux.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    // The name of the program, in brackets, may contain spaces. cutime and cstime are the 16th and 17th field (proc_pid_stat(5)),
    // and the third one is the first behind the name.
    let (_, fields) = text.rsplit_once(") ").expect("the name ends");
    let ticks = fields.split(' ').skip(13).take(2);
    let ticks = ticks.map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / TICKS
}
