//! CPU time of another process.

use std::{collections::HashMap, fs};

/// The CPU time that each thread of a process had used at one moment.
pub struct ThreadTimes {
    pid: u32,
    /// Nanoseconds by thread id.
    nanoseconds: HashMap<String, u64>,
}

impl ThreadTimes {
    /// Reads the times of a process.
    #[must_use]
    pub fn read(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive");
        let thread = |task: fs::DirEntry| {
            // The first word is "time spent on the cpu" in ns (sched-stats.rst of Linux). The thread may end before this reads it.
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let (used, _) = text.split_once(' ')?;
            let name = task.file_name().to_string_lossy().into_owned();
            Some((name, used.parse().expect("nanoseconds")))
        };
        let nanoseconds = tasks.flatten().filter_map(thread).collect();
        Self { pid, nanoseconds }
    }

    /// Returns the CPU seconds that the process had used since its start. Threads that have ended are not counted.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.nanoseconds.values().sum::<u64>() as f64 / 1e9
    }

    /// Returns the CPU seconds that the process has used since then. Threads that ended in the meantime are not counted.
    #[must_use]
    pub fn seconds_since(&self) -> f64 {
        let now = Self::read(self.pid).nanoseconds;
        let used = |(thread, used): (&String, &u64)| {
            used.saturating_sub(self.nanoseconds.get(thread).copied().unwrap_or(0))
        };
        now.iter().map(used).sum::<u64>() as f64 / 1e9
    }
}
