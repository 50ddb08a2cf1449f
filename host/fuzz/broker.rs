//! The broker inside, without the daemon around it, which it does not know.
#![allow(dead_code, reason = "the targets use the doors for fuzzing only")]

#[path = "../src/embedded/mod.rs"]
pub mod embedded;
