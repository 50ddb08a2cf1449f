//! `eventos-broker`: the broker as a program of its own.

use std::process::ExitCode;

use eventos_broker::{Broker, Config};

const USAGE: &str = "\
A Kafka for your tests and your laptop.

Usage: eventos-broker [OPTIONS]

Options:
  --listen ADDRESS      Loopback address to listen on; port 0 picks a free port [default: 127.0.0.1:9092]
  --dir PATH            Folder of the data, created if it does not exist [default: data/broker]
  --partitions NUMBER   Number of partitions of a topic that is created without one [default: 4]
  --flush WHEN          When to sync data to disk: never, each, or a time such as 1s [default: never]
  --help                Print this help

Prints its address as the first line of the standard output, and logs to the standard error; the variable
RUST_LOG filters the log. SIGTERM, SIGINT (Ctrl-C) and SIGHUP shut it down.
";

/// The exit code for wrong arguments, as in `sysexits.h` and most programs.
const USAGE_ERROR: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match parse(std::env::args().skip(1)) {
        Ok(Some(config)) => config,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    // Before the broker starts, so that no signal is missed.
    let signal = signal()?;
    let broker = Broker::start(config).await?;
    println!("{}", broker.address());
    broker.run_until(signal).await?;
    Ok(())
}

/// Returns a future that completes with the first SIGTERM, SIGINT or SIGHUP. It leaves SIGHUP alone where it is ignored, as
/// with `nohup`.
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut hangup = match is_hangup_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    Ok(async move {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hung_up => {}
        }
    })
}

/// Returns whether this process was started with SIGHUP ignored; false if that is unknown.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is signal 1, and so bit 0.
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Returns the configuration that the arguments ask for, or `None` if they ask for help.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Config>, String> {
    let mut config = Config::default();
    while let Some(option) = arguments.next() {
        if matches!(option.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        let known = ["--listen", "--dir", "--partitions", "--flush"];
        if !known.contains(&option.as_str()) {
            return Err(format!("unknown argument {option:?}"));
        }
        let value = arguments.next();
        let value = value.ok_or_else(|| format!("{option} needs a value"))?;
        let invalid = |why: &str| format!("invalid value {value:?} for {option}: {why}");
        match option.as_str() {
            "--listen" => {
                config.listen = value
                    .parse()
                    .map_err(|_| invalid("expected an address and a port"))?;
            }
            "--dir" => config.dir = value.into(),
            "--partitions" => {
                config.partitions = value.parse().map_err(|_| invalid("expected a number"))?;
            }
            _ => config.flush = value.parse().map_err(|why: String| invalid(&why))?,
        }
    }
    match config.problems().first() {
        Some((key, why)) => Err(format!("invalid value for --{key}: {why}")),
        None => Ok(Some(config)),
    }
}

/// Returns the message of an error, followed by those of its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(text: &str) -> Result<Option<Config>, String> {
        parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_sets_its_value_and_has_the_default_of_the_configuration() {
        assert_eq!(parse_words(""), Ok(Some(Config::default())));
        let all = "--listen [::1]:0 --dir /tmp/x --partitions 2 --flush each";
        let expected = Config {
            listen: "[::1]:0".parse().unwrap(),
            dir: "/tmp/x".into(),
            partitions: 2,
            flush: eventos_broker::Flush::Each,
        };
        assert_eq!(parse_words(all), Ok(Some(expected)));
        assert_eq!(parse_words("--dir x --help"), Ok(None));
    }

    #[test]
    fn a_wrong_argument_is_named() {
        for (text, named) in [
            ("--lisen 127.0.0.1:1", "--lisen"),
            ("--dir", "--dir needs a value"),
            ("--listen 9092", "\"9092\""),
            ("--listen 0.0.0.0:9092", "loopback"),
            ("--partitions 0", "--partitions"),
            ("--flush often", "often"),
        ] {
            let error = parse_words(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
