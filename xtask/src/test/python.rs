//! A Python with the libraries of `python.txt`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::succeeds;
use crate::venv;

const REQUIREMENTS: &str = include_str!("python.txt");

/// The interpreter, ready to import them all.
pub fn provide() -> Result<PathBuf> {
    let folder = venv::provide("python", REQUIREMENTS, imports)?;
    Ok(interpreter(&folder))
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn imports(folder: &Path) -> bool {
    succeeds(
        Command::new(interpreter(folder))
            .args(["-c", "import aiokafka, confluent_kafka, fastapi, uvicorn"]),
    )
}
