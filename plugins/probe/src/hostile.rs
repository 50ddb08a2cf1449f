//! What no handler should do, and each host has to survive.

use std::hint::black_box;

/// Does the bad thing of this name; nothing if there is none.
pub fn act(name: &str) {
    match name {
        "panic" => panic!("asked to panic"),
        "spin" => spin(),
        "grow" => grow(),
        "recurse" => recurse(u64::MAX),
        "abort" => std::process::abort(),
        #[cfg(target_family = "wasm")]
        "store-beyond" => imports::store::append(&[u32::MAX]),
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

/// 1 MiB at a time, all of it touched.
fn grow() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Deeper than any stack: each level keeps a frame of half a KiB alive.
fn recurse(levels: u64) {
    let frame = black_box([levels; 64]);
    if levels > 0 {
        recurse(levels - 1);
    }
    black_box(frame);
}

/// Columns that contradict each other, past the SDK, which would not make them.
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
