//! A bench that runs itself again: each part in a process of its own, so that its CPU time is its own.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use eventos_broker::Broker;

/// This program again, with the part's name and what it needs as the arguments.
pub struct Part(Child);

impl Part {
    /// Starts it.
    pub fn start(arguments: &[&str]) -> Self {
        let own = env::current_exe().expect("its own path");
        let mut command = Command::new(own);
        // A part ends when its stdin does, so none outlives the parent.
        let command = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Self(command.spawn().expect("started"))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The one line that it prints.
    pub fn line(&mut self) -> String {
        let out = self.0.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("read");
        assert!(!line.is_empty(), "a part of the bench failed");
        line.trim().to_owned()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A runtime of as many threads as there are cores.
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().expect("a runtime")
}

/// The part that is the broker inside: prints its address, and serves until the parent is gone.
pub fn broker(dir: &Path) {
    let config = eventos_broker::Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        dir: dir.to_owned(),
        ..eventos_broker::Config::default()
    };
    runtime().block_on(async {
        let broker = Broker::start(config).await.expect("started");
        println!("{}", broker.address());
        let parent_gone = async {
            let wait = || std::io::stdin().read_to_end(&mut Vec::new());
            let _ = tokio::task::spawn_blocking(wait).await;
        };
        broker.run_until(parent_gone).await.expect("it runs");
    });
}
