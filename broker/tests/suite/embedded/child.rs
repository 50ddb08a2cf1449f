//! A broker in a process of its own: a kill can end it at any instruction, and its memory can be measured.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
};

use eventos_testkit::{eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::BROKER;

/// A broker on a folder and a port that stay the same across kills.
pub(super) struct ChildBroker {
    pub address: SocketAddr,
    dir: TempDir,
    /// The command line that starts the broker, without the program and its options.
    wrapper: Vec<String>,
    child: Child,
}

impl ChildBroker {
    /// Starts a broker on an empty folder, and waits until it serves.
    pub(super) fn start() -> ChildBroker {
        ChildBroker::start_in(tempfile::tempdir().unwrap(), Vec::new())
    }

    /// Starts a broker on the folder `data` in `dir`, run by the command `wrapper`, and waits until it serves.
    pub(super) fn start_in(dir: TempDir, wrapper: Vec<String>) -> ChildBroker {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut broker = ChildBroker {
            address,
            child: spawn(&dir, address, &wrapper),
            dir,
            wrapper,
        };
        broker.wait_until_it_serves();
        broker
    }

    /// Ends the process with SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the process in order, with SIGTERM.
    pub(super) fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Starts another process after a kill, without waiting until it serves.
    pub(super) fn revive(&mut self) {
        self.child = spawn(&self.dir, self.address, &self.wrapper);
    }

    /// Kills the process, starts another one, and waits until it serves.
    pub(super) fn restart(&mut self) {
        self.kill();
        self.revive();
        self.wait_until_it_serves();
    }

    /// Waits until the broker accepts connections.
    pub(super) fn wait_until_it_serves(&mut self) {
        eventually("the broker process to serve", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the broker process ended: {ended:?}");
            TcpStream::connect(self.address).ok().map(drop)
        });
    }

    /// Returns the id of the process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory of the process in bytes.
    pub(super) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Returns the largest resident memory that the process ever had, in bytes.
    pub(super) fn peak_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// Returns the data folder of a broker process.
pub(super) fn data_folder(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Starts the process. Its log replaces that of the process before, so that only the one that fails is shown.
fn spawn(dir: &TempDir, address: SocketAddr, wrapper: &[String]) -> Child {
    let log = File::create(dir.path().join("log")).unwrap();
    let mut words = wrapper.iter().map(String::as_str).chain([BROKER]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command.args(["--listen", &address.to_string(), "--dir"]);
    command.arg(data_folder(dir.path()));
    let address_line = File::create(dir.path().join("address")).unwrap();
    command.stdout(address_line).stderr(log).spawn().unwrap()
}

impl Drop for ChildBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("the log of the broker process:\n{log}");
        }
    }
}
