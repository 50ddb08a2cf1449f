//! Sending Eventos over HTTP and reading them back: the texts are the same, in the same order.

mod batch;
mod extremes;
mod messages;
mod one;

use eventos_testkit::{Broker, Daemon, Setup};

use crate::EVENTOS;

/// Starts a daemon with the handler `store`.
fn start() -> (Setup, Daemon) {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    (setup, daemon)
}
