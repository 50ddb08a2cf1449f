//! Errors of starting and stopping a broker, and of everything that it keeps on disk.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::config::MAX_PARTITIONS;

/// The reason why a broker cannot start, keep something on disk, or shut down in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can be reached from other machines.
    #[error(
        "cannot listen on {0}: the built-in broker has neither TLS nor authentication, so it accepts only loopback addresses such as 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// A default number of partitions that no topic can have.
    #[error("invalid default of {0} partitions for new topics: choose from 1 to {MAX_PARTITIONS}")]
    Partitions(u32),
    /// The port is taken, or this process may not use it.
    #[error("cannot listen on {listen}: choose another address, or stop the program that uses it")]
    Bind {
        /// The configured address.
        listen: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another broker uses the folder.
    #[error("{0} is in use by another broker: stop that broker, or choose another folder")]
    Locked(PathBuf),
    /// Another version of the broker wrote the folder.
    #[error(
        "{path} has format {found:?}, but this version reads {expected:?}: choose another folder, or run the version that wrote it"
    )]
    Format {
        /// The file that holds the format version.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format that this version writes.
        expected: &'static str,
    },
    /// A file is damaged in a way that neither a kill nor a power cut explains.
    #[error(
        "{path} is damaged at byte {position} ({reason}): restore the file from a backup, or move it away and lose its content"
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// The position of the damage, in bytes.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// There are more partitions than files that the process may have open.
    #[error(
        "the {partitions} partitions in the data folder need more open files than this process may have, which suffice for {max}: raise the limit (ulimit -n)"
    )]
    Descriptors {
        /// The partitions of all topics.
        partitions: usize,
        /// The largest number possible.
        max: usize,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The operation, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Returns a function for `map_err` that adds the operation and the path to an I/O error.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
