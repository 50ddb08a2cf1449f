//! CPU time of another process.

use std::{collections::HashMap, fs};

/// What every thread of a process had used at some moment.
pub struct Threads {
    pid: u32,
    nanoseconds: HashMap<String, u64>,
}

impl Threads {
    /// Of this moment.
    pub fn of(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive");
        let thread = |task: fs::DirEntry| {
            // "Time spent on the cpu" in ns, a blank, and more (Linux, sched-stats.rst). A thread
            // may end while we look.
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let (used, _) = text.split_once(' ')?;
            let name = task.file_name().to_string_lossy().into_owned();
            Some((name, used.parse().expect("nanoseconds")))
        };
        let nanoseconds = tasks.flatten().filter_map(thread).collect();
        Self { pid, nanoseconds }
    }

    /// CPU seconds of the process since then, but for threads that ended meanwhile.
    pub fn seconds_since(&self) -> f64 {
        let now = Self::of(self.pid).nanoseconds;
        let used = |(thread, used): (&String, &u64)| {
            used.saturating_sub(self.nanoseconds.get(thread).copied().unwrap_or(0))
        };
        now.iter().map(used).sum::<u64>() as f64 / 1e9
    }
}
