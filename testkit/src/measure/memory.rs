//! Memory of another process.

use std::fs;

/// A mebibyte.
pub const MIB: f64 = 1_048_576.0;

/// The memory of a process at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What is in memory of everything that the process has mapped.
    pub resident: f64,
    /// The same, where a page that several processes share counts in parts.
    pub proportional: f64,
    /// The most that was in memory since the process began.
    pub peak: f64,
}

impl Memory {
    /// Reads the memory of a process.
    #[must_use]
    pub fn read(pid: u32) -> Self {
        let file = |name| fs::read_to_string(format!("/proc/{pid}/{name}"));
        let text = ["smaps_rollup", "status"].map(|name| file(name).expect("the process is alive"));
        let text = text.concat();
        let field = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: f64 = rest.split_whitespace().next()?.parse().ok()?;
            Some(kib * 1024.0)
        };
        let field = |name| field(name).expect("Linux reports it");
        Self {
            resident: field("Rss:"),
            proportional: field("Pss:"),
            peak: field("VmHWM:"),
        }
    }
}
