//! Ports that a test names itself, because something has to come back on the same one.

use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

/// Below those that the system hands out for port 0 and for outgoing connections, so that nobody
/// takes one while a test has nothing on it.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// A port of loopback on which nothing listens.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs side by side begin at different ones.
    let start = u16::try_from(process::id() % u32::from(COUNT / 16)).expect("small") * 16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let next = || FIRST + (start + NEXT.fetch_add(1, Relaxed)) % COUNT;
    let mut ports = std::iter::repeat_with(next).take(usize::from(COUNT));
    ports.find(free).expect("one port is free")
}
