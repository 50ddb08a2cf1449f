//! A Python with the packages of `python.txt`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{process::succeeds, venv};

const REQUIREMENTS: &str = include_str!("python.txt");

/// Returns the interpreter, in an environment with these packages.
pub(crate) fn provide() -> Result<PathBuf> {
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
