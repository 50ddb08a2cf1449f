//! The short form of a fuzz target: the inputs that are kept of it, and changes of them, for some seconds. It needs neither
//! libFuzzer nor another compilation, so it is a test like any other. `cargo xtask fuzz` runs the same function with coverage and
//! AddressSanitizer.

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestError, TestRunner},
};

/// How long the inputs of a target are changed and tried.
const TIME: Duration = Duration::from_secs(5);

/// How long one input may take. The slowest takes milliseconds on an idle machine.
const STALL: Duration = Duration::from_secs(60);

/// How many inputs are tried between two looks at the clock.
const CASES: u32 = 64;

/// Runs a fuzz target on each input in `seeds/TARGET`, and then for some seconds on changes of them. `folder` is that of the
/// fuzz crate.
///
/// # Panics
/// Panics if the target panics or stalls. The message says in which file the input is; it stays there, too, if the process
/// dies.
pub fn run(folder: &Path, target: &str, body: fn(&[u8])) {
    run_for(TIME, STALL, folder, target, body);
}

fn run_for(time: Duration, stall: Duration, folder: &Path, target: &str, body: fn(&[u8])) {
    let seeds = seeds(&folder.join("seeds").join(target));
    let trial = Trial::new(&folder.join("artifacts").join(target), body);
    let trial = trial.expect("the folder of the findings can be written");
    let (path, count) = (trial.path.clone(), Arc::clone(&trial.count));
    let (sender, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        let ended = trial.run(seeds, Instant::now() + time);
        // It fails if the test has given up.
        let _ = sender.send(ended);
    });
    let mut before = u64::MAX;
    loop {
        let now = count.load(Relaxed);
        match ended.recv_timeout(stall) {
            Ok(Ok(())) => {
                eprintln!("{target}: {} inputs", count.load(Relaxed));
                let _ = fs::remove_file(&path);
                return;
            }
            Ok(Err(reason)) => panic!(
                "{target} fails on the input in {}: {reason}; keep it in seeds/{target} once that is repaired",
                path.display()
            ),
            Err(RecvTimeoutError::Timeout) if now == before => {
                panic!("{target} stalls on the input in {}", path.display());
            }
            Err(RecvTimeoutError::Timeout) => before = now,
            Err(RecvTimeoutError::Disconnected) => {
                let panic = worker.join().expect_err("it has not sent how it ended");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Returns the inputs of a folder, in the order of their names.
fn seeds(folder: &Path) -> Vec<Vec<u8>> {
    let read = || -> io::Result<Vec<Vec<u8>>> {
        let mut paths = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        paths.iter().map(fs::read).collect()
    };
    let seeds = read().unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    assert!(!seeds.is_empty(), "{} has no input", folder.display());
    seeds
}

/// A target, and the file with the input that it has now.
struct Trial {
    body: fn(&[u8]),
    path: PathBuf,
    file: RefCell<(File, usize)>,
    /// The number of inputs so far.
    count: Arc<AtomicU64>,
}

impl Trial {
    fn new(folder: &Path, body: fn(&[u8])) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("input-{}", std::process::id()));
        let file = RefCell::new((File::create(&path)?, 0));
        Ok(Self {
            body,
            path,
            file,
            count: Arc::default(),
        })
    }

    /// Tries all inputs, and what can be made of them, until the deadline. Returns why the last one failed, which is then as
    /// short as it could be made.
    fn run(&self, seeds: Vec<Vec<u8>>, deadline: Instant) -> Result<(), String> {
        let seeds: Arc<[Vec<u8>]> = seeds.into();
        for seed in &*seeds {
            self.cases(1, &Just(seed.clone()))?;
        }
        let changed = changed(seeds);
        while Instant::now() < deadline {
            self.cases(CASES, &changed)?;
        }
        Ok(())
    }

    fn cases(&self, cases: u32, inputs: &impl Strategy<Value = Vec<u8>>) -> Result<(), String> {
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            max_shrink_time: 10_000,
            ..Config::default()
        });
        let ran = runner.run(inputs, |input| {
            self.keep(&input);
            (self.body)(&input);
            self.count.fetch_add(1, Relaxed);
            Ok(())
        });
        ran.map_err(|error| match error {
            TestError::Fail(reason, input) => {
                self.keep(&input);
                format!("{reason}, {} bytes: {}", input.len(), input.escape_ascii())
            }
            TestError::Abort(reason) => reason.to_string(),
        })
    }

    /// Writes the input to the file, so that it is there if the process dies.
    fn keep(&self, input: &[u8]) {
        let (file, length) = &mut *self.file.borrow_mut();
        let written = match input.len() < *length {
            true => file.set_len(input.len() as u64),
            false => Ok(()),
        };
        *length = input.len();
        let written = written.and_then(|()| file.write_all_at(input, 0));
        written.expect("the file of the input can be written");
    }
}

/// A change of an input. Places are taken modulo its length.
#[derive(Clone, Debug)]
enum Change {
    /// Replaces one byte.
    Replace(Index, u8),
    /// Inverts one bit.
    Flip(Index, u8),
    /// Replaces bytes by those of a number.
    Number(Index, Vec<u8>),
    /// Inserts bytes.
    Insert(Index, Vec<u8>),
    /// Repeats a part some times.
    Repeat(Index, usize, usize),
    /// Removes a part.
    Remove(Index, usize),
    /// Inserts a part of another input.
    Copy(Index, Index, Index, usize),
}

/// Generates changes of these inputs. What is simpler comes first, because failures shrink towards it.
fn changed(seeds: Arc<[Vec<u8>]>) -> impl Strategy<Value = Vec<u8>> {
    let at = any::<Index>;
    let number = prop_oneof![
        any::<u8>().prop_map(|n| n.to_be_bytes().to_vec()),
        prop_oneof![
            Just(0),
            Just(1),
            Just(-1),
            Just(i32::MAX),
            Just(i32::MIN),
            -300..300
        ]
        .prop_flat_map(|n: i32| prop_oneof![
            Just(n.to_be_bytes().to_vec()),
            Just(n.to_le_bytes().to_vec()),
            Just((n as i16).to_be_bytes().to_vec()),
            Just(i64::from(n).to_be_bytes().to_vec()),
            Just(i64::from(n).to_le_bytes().to_vec()),
            Just(n.to_string().into_bytes()),
        ]),
    ];
    let change = prop_oneof![
        (at(), 1..20usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), number).prop_map(|(at, number)| Change::Number(at, number)),
        (at(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..20usize, 1..200usize).prop_map(|(at, length, n)| Change::Repeat(at, length, n)),
        (at(), at(), at(), 1..60usize)
            .prop_map(|(at, seed, from, length)| Change::Copy(at, seed, from, length)),
    ];
    let changes = prop::collection::vec(change, 0..6);
    (at(), changes).prop_map(move |(seed, changes)| {
        let mut input = seeds[seed.index(seeds.len())].clone();
        for change in changes {
            apply(&change, &mut input, &seeds);
        }
        input
    })
}

/// The longest input that is made.
const MAX_INPUT: usize = 4 << 10;

fn apply(change: &Change, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let place = |at: &Index, length: usize| at.index(length.max(1)).min(length);
    let length = input.len();
    let part = |at: &Index, wanted: usize| {
        let start = place(at, length);
        start..length.min(start + wanted)
    };
    match change {
        Change::Replace(at, byte) => input[part(at, 1)].fill(*byte),
        Change::Flip(at, bit) => input[part(at, 1)]
            .iter_mut()
            .for_each(|byte| *byte ^= 1 << bit),
        Change::Number(at, bytes) => {
            input.splice(part(at, bytes.len()), bytes.iter().copied());
        }
        Change::Insert(at, bytes) => {
            input.splice(part(at, 0), bytes.iter().copied());
        }
        Change::Repeat(at, wanted, times) => {
            let part = part(at, *wanted);
            let repeated = input[part.clone()].repeat(*times);
            input.splice(part, repeated);
        }
        Change::Remove(at, wanted) => {
            input.drain(part(at, *wanted));
        }
        Change::Copy(at, seed, from, wanted) => {
            let seed = &seeds[seed.index(seeds.len())];
            let from = place(from, seed.len());
            let copied = seed[from..seed.len().min(from + wanted)].to_vec();
            input.splice(part(at, 0), copied);
        }
    }
    input.truncate(MAX_INPUT);
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// Runs a target with one seed, and returns the message of its failure and the input that was left behind.
    fn failure(stall: Duration, seed: &str, body: fn(&[u8])) -> (String, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        fs::create_dir_all(folder.join("seeds/it")).expect("made");
        fs::write(folder.join("seeds/it/0"), seed).expect("written");
        let time = Duration::from_secs(60);
        let failed = catch_unwind(|| run_for(time, stall, folder, "it", body));
        let message = failed.expect_err("it fails");
        let message = message.downcast::<String>().expect("a text");
        let left = folder.join(format!("artifacts/it/input-{}", std::process::id()));
        (*message, fs::read(left).expect("it is there"))
    }

    #[test]
    fn an_input_that_is_kept_is_tried_as_it_is() {
        let (message, input) = failure(STALL, "id=7", |input| assert_ne!(input, b"id=7"));
        assert!(message.contains("4 bytes: id=7"), "{message}");
        assert_eq!(input, b"id=7");
    }

    #[test]
    fn a_change_that_fails_is_found_shortened_and_left_in_a_file() {
        let (message, input) = failure(STALL, "0123456789", |input| {
            assert!(!input.windows(2).any(|pair| pair == [b'7', b'7']), "twice");
        });
        assert!(message.contains("it fails on the input in "), "{message}");
        assert!(message.contains("twice"), "{message}");
        assert!(input.windows(2).any(|pair| pair == b"77"), "{input:?}");
    }

    #[test]
    fn an_input_that_does_not_return_is_left_in_a_file() {
        let (message, input) = failure(Duration::from_millis(200), "loop", |input| {
            if input == b"loop" {
                loop {
                    crate::wait::pause(Duration::from_millis(20));
                }
            }
        });
        assert!(
            message.starts_with("it stalls on the input in "),
            "{message}"
        );
        assert_eq!(input, b"loop");
    }
}
