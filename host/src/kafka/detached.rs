//! Clients that are dropped on a thread of their own.

use std::{ops::Deref, thread};

/// A client of librdkafka. Dropping one waits for its threads, which may themselves wait for the network. So this drops it on a
/// thread of its own, and neither a task that is cancelled nor one that ends early holds up the runtime.
pub(super) struct Detached<T: Send + 'static>(
    /// Taken only when this is dropped.
    Option<T>,
);

impl<T: Send> Detached<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send> Deref for Detached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
            .as_ref()
            .expect("it is taken only when this is dropped")
    }
}

impl<T: Send> Drop for Detached<T> {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            let named = thread::Builder::new().name("kafka-close".to_owned());
            // Without a thread, the closure is dropped here, and the client with it.
            let _ = named.spawn(move || drop(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Client(mpsc::Receiver<()>, mpsc::Sender<thread::ThreadId>);

    impl Drop for Client {
        fn drop(&mut self) {
            self.0.recv().expect("the test goes on");
            self.1.send(thread::current().id()).expect("the test waits");
        }
    }

    #[test]
    fn nobody_waits_for_a_client_that_is_dropped() {
        let (go_on, waits) = mpsc::channel();
        let (dropped, at) = mpsc::channel();
        drop(Detached::new(Client(waits, dropped)));
        // It would still be waiting, had it been dropped here.
        go_on.send(()).expect("it waits");
        assert_ne!(at.recv().expect("it is dropped"), thread::current().id());
    }
}
