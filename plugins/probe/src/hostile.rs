//! Behaviour that no handler should show and that the host must survive.

use std::hint::black_box;

/// Misbehaves in the way that `name` says. Does nothing for any other name.
pub(crate) fn act(name: &str) {
    match name {
        "panic" => panic!("asked to panic"),
        "spin" => spin(),
        "grow" => grow(),
        "leak" => std::mem::forget(black_box(vec![1_u8; 1 << 20])),
        "recurse" => recurse(u64::MAX),
        "recurse-1000" => recurse(1_000),
        "recurse-lean" => {
            black_box(recurse_lean(u64::MAX));
        }
        "abort" => std::process::abort(),
        #[cfg(target_family = "wasm")]
        "store-beyond" => imports::store::append(&[u32::MAX]),
        #[cfg(target_family = "wasm")]
        "emit-nothing" => emit_nothing(),
        #[cfg(target_family = "wasm")]
        "emit-crooked" => emit_crooked(),
        _ => {}
    }
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

/// Allocates without end: 1 MiB at a time, and writes to all of it.
fn grow() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Recurses deeper than any stack: each level keeps a frame of half a KiB alive.
fn recurse(levels: u64) {
    let frame = black_box([levels; 64]);
    if levels > 0 {
        recurse(levels - 1);
    }
    black_box(frame);
}

/// Recurses deeper than any stack without using linear memory: only the engine's stack grows.
fn recurse_lean(levels: u64) -> u64 {
    match black_box(levels) {
        0 => 0,
        levels => recurse_lean(levels - 1) ^ levels,
    }
}

/// Emits without end, each time an empty list of records.
#[cfg(target_family = "wasm")]
fn emit_nothing() {
    let topic = eventos_sdk::config::get("emit_to").expect("the setting emit_to is set");
    loop {
        imports::emit::send(&topic, &[], &imports::types::Records::default());
    }
}

/// Emits inconsistent columns. It bypasses the SDK, which cannot create them.
#[cfg(target_family = "wasm")]
fn emit_crooked() {
    let topic = eventos_sdk::config::get("emit_to").expect("the setting emit_to is set");
    let records = imports::types::Records {
        key_ends: vec![7],
        ..Default::default()
    };
    imports::emit::send(&topic, &[0], &records);
}

#[cfg(target_family = "wasm")]
use eventos_sdk::bindings::eventos::handler as imports;
