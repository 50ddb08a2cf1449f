//! Ports for tests that start something again at the same address.

use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

/// The first port of the range. The range lies below the ports that the system assigns for port 0 and for outgoing connections,
/// so that no other program gets one while the test has nothing listening on it.
const FIRST: u16 = 12_000;

/// Number of ports in the range.
const COUNT: u16 = 18_000;

/// Returns a port of the loopback interface on which nothing listens.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time start at different ports.
    let start = u16::try_from(process::id() % u32::from(COUNT / 16)).expect("small") * 16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let next = || FIRST + (start + NEXT.fetch_add(1, Relaxed)) % COUNT;
    let mut ports = std::iter::repeat_with(next).take(usize::from(COUNT));
    ports.find(free).expect("at least one port is free")
}
