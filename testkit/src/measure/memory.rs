//! Memory of another process.

use std::fs;

/// The memory of a process at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What is in memory of everything that the process has mapped.
    pub resident: f64,
    /// The same, where a page that several processes share counts in parts.
    pub proportional: f64,
}

impl Memory {
    /// Reads the memory of a process.
    #[must_use]
    pub fn read(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
        let text = text.expect("the process is alive");
        let field = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: f64 = rest.split_whitespace().next()?.parse().ok()?;
            Some(kib * 1024.0)
        };
        Self {
            resident: field("Rss:").expect("Linux reports it"),
            proportional: field("Pss:").expect("Linux reports it"),
        }
    }
}
