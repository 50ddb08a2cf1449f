//! The lines by which a contestant shows its progress on standard output:
//!
//! * `settings TEXT`: what it is, and what it runs with,
//! * `ready`: everything is loaded, nothing is consumed. It goes on once it gets a line on standard input,
//! * `first N`, `third N` and `done N`: the first event, the first third and all of them are handled; `N` is their number by then.
//!
//! It keeps what it has stored until standard input ends.

use std::{
    io::{Read as _, stdin},
    process, thread,
};

/// Prints the lines of a contestant in this process.
pub(crate) struct Progress {
    events: u64,
    count: u64,
}

impl Progress {
    /// Reports that everything is ready, and returns once the race begins. The process ends when its parent does.
    pub(crate) fn ready(settings: &str, events: u64) -> Self {
        println!("settings {settings}");
        println!("ready");
        let _ = stdin().read_line(&mut String::new());
        thread::spawn(|| {
            let _ = stdin().read_to_end(&mut Vec::new());
            process::exit(0);
        });
        Self { events, count: 0 }
    }

    /// Reports that this number of events is handled by now.
    pub(crate) fn reached(&mut self, count: u64) {
        let steps = [
            ("first", 1),
            ("third", self.events / 3),
            ("done", self.events),
        ];
        for (name, step) in steps {
            if self.count < step && step <= count {
                println!("{name} {count}");
            }
        }
        self.count = count;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.count >= self.events
    }

    /// Waits until the parent has measured, and ends the process.
    pub(crate) fn wait(&self) -> ! {
        loop {
            thread::park();
        }
    }
}
