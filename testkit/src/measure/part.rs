//! A bench that runs itself again: each part is a process of its own, so that its CPU time can be measured separately.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use eventos_broker::Broker;

/// A process that runs this executable again, with the name of the part and its parameters as arguments.
pub struct Part(Child);

impl Part {
    /// Starts the process.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let executable = env::current_exe().expect("the path of this executable");
        let child = Command::new(executable)
            .args(arguments)
            // The part ends when its standard input does, so it cannot outlive the parent.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("the part starts"))
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the one line that the part prints, and returns it.
    pub fn read_line(&mut self) -> String {
        let stdout = self.0.stdout.take().expect("a part prints one line");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("the output can be read");
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

/// Returns a runtime with one thread per core.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Runs the built-in broker: prints its address, and serves until the parent process is gone.
pub fn serve_broker(dir: &Path) {
    let config = eventos_broker::Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        dir: dir.to_owned(),
        ..eventos_broker::Config::default()
    };
    runtime().block_on(async {
        let broker = Broker::start(config).await.expect("the broker starts");
        println!("{}", broker.address());
        let parent_gone = async {
            let wait = || std::io::stdin().read_to_end(&mut Vec::new());
            let _ = tokio::task::spawn_blocking(wait).await;
        };
        broker
            .run_until(parent_gone)
            .await
            .expect("the broker serves");
    });
}
