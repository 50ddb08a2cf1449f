//! A broker in a process of its own, that of a daemon: a kill ends it at any instruction, and its memory is its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::thread;

use eventos_testkit::{eventually, free_port};
use tempfile::TempDir;

use crate::EVENTOS;

/// A daemon without handlers, on a folder and a port that stay the same over its kills.
pub struct ChildBroker {
    pub address: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl ChildBroker {
    /// A new one on an empty folder, as soon as it serves.
    pub fn start() -> ChildBroker {
        let dir = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let [plugins, data, config] =
            ["plugins", "data", "eventos.toml"].map(|name| dir.path().join(name));
        fs::create_dir_all(&plugins).unwrap();
        let text = format!(
            "[embedded]\nlisten = \"{address}\"\ndir = {data:?}\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[handlers]\ndir = {plugins:?}\n"
        );
        fs::write(&config, text).unwrap();
        let mut broker = ChildBroker {
            address,
            child: spawn(&dir),
            dir,
        };
        broker.wait_until_it_serves();
        broker
    }

    /// `kill -9`, and gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts another process after a kill, which may not serve yet.
    pub fn revive(&mut self) {
        self.child = spawn(&self.dir);
    }

    /// Kills it and starts another, as soon as that serves.
    pub fn restart(&mut self) {
        self.kill();
        self.revive();
        self.wait_until_it_serves();
    }

    /// Waits until it takes connections.
    pub fn wait_until_it_serves(&mut self) {
        eventually("the child to serve", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the child ended: {ended:?}");
            TcpStream::connect(self.address).ok().map(drop)
        });
    }

    /// The memory that it has in use, in bytes: `VmRSS` of its process.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// Its log is that of the last process only: the one that fails.
fn spawn(dir: &TempDir) -> Child {
    let log = File::create(dir.path().join("log")).unwrap();
    Command::new(EVENTOS)
        .args(["serve", "--config"])
        .arg(dir.path().join("eventos.toml"))
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for ChildBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("the broker's process wrote:\n{log}");
        }
    }
}
