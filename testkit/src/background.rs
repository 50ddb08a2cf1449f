//! Work in a thread of its own, until the test stops it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

/// A thread that works until [`Background::finish`] stops it, or until this is dropped.
pub struct Background<T> {
    stop: StopFlag,
    thread: Option<JoinHandle<T>>,
}

/// Tells the work of a [`Background`] whether to stop.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl<T: Send + 'static> Background<T> {
    /// Starts a thread. `work` has to return soon after the flag is set.
    pub fn start(work: impl FnOnce(&StopFlag) -> T + Send + 'static) -> Self {
        let stop = StopFlag::default();
        let flag = stop.clone();
        let thread = Some(thread::spawn(move || work(&flag)));
        Self { stop, thread }
    }

    /// Sets the flag, waits until the work is done, and returns its result.
    pub fn finish(mut self) -> T {
        self.stop.0.store(true, Relaxed);
        let thread = self.thread.take().expect("only this takes it");
        thread.join().expect("no panic")
    }
}

impl StopFlag {
    /// Returns whether the work has to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.stop.0.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been reported, and the test may be panicking, too.
            let _ = thread.join();
        }
    }
}
