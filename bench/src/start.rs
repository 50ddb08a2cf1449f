//! `cargo xtask bench start`: how large the program is, how long it takes to start on its built-in broker, and what it uses while
//! nothing happens.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use eventos_testkit::{
    DEADLINE, Program, Setup, free_port,
    measure::{
        cpu::ThreadTimes,
        memory::{MIB, Memory},
        report::{Report, Table},
    },
    wait::pause,
};

use crate::{
    options::{Defaults, Extent, Options},
    world::{self, Servers},
};

const DEFAULTS: Defaults = Defaults {
    rounds: [7, 2],
    events: [0, 0],
    seconds: [10, 5],
};

/// Time from the start until what happens only once is over.
const SETTLING: Duration = Duration::from_secs(5);

/// The names of the handlers of a daemon that is measured, if it has any.
const STORE: &[&str] = &["store"];

/// A daemon that is started again and again.
struct Subject {
    name: &'static str,
    setup: Setup,
    /// Removed before each start.
    forgotten: &'static [&'static str],
}

pub(crate) fn run(options: &Options) {
    let extent = options.extent(&DEFAULTS);
    let Extent {
        rounds, seconds, ..
    } = extent;
    let settings = format!("{rounds} rounds, {seconds} s at rest");
    let mut report = Report::new("start", &settings);
    let subjects = [
        subject("no handler", &[], &[]),
        subject("store.wasm, compiled before", STORE, &[]),
        subject("store.wasm, to be compiled", STORE, &["cache"]),
        subject(
            "store.wasm, compiled before, no topics yet",
            STORE,
            &["broker"],
        ),
    ];
    size(&mut report, &subjects[0].setup.program);
    starts(&mut report, &subjects, rounds);
    rest(&mut report, &subjects[..2], extent);
    report.write();
}

fn subject(name: &'static str, handlers: &[&str], forgotten: &'static [&'static str]) -> Subject {
    let mut setup = world::setup(Servers::BuiltIn, handlers, "");
    setup.cache = setup.path("cache");
    Subject {
        name,
        setup,
        forgotten,
    }
}

fn size(report: &mut Report, program: &str) {
    let mut table = Table::new("size of the program", &["MB"]);
    let bytes = fs::metadata(program).expect("the program exists").len();
    table.row("as built", vec![vec![bytes as f64 / 1e6]]);
    let dir = tempfile::tempdir().expect("a folder");
    let stripped = dir.path().join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped).arg(program);
    // It belongs to the C compiler that the build needs.
    if strip.status().is_ok_and(|status| status.success()) {
        let bytes = fs::metadata(&stripped).expect("strip has written it").len();
        table.row("stripped", vec![vec![bytes as f64 / 1e6]]);
    }
    report.add(&table);
}

/// Measures the time from the start of a process to its first response.
fn starts(report: &mut Report, subjects: &[Subject], rounds: u32) {
    let columns = [
        "to 200 from /healthz, ms",
        "to 200 from /readyz, ms",
        "CPU until ready, ms",
    ];
    let mut figures: Vec<[Vec<f64>; 3]> = vec![Default::default(); subjects.len()];
    for subject in subjects {
        // Creates topics and compiles, if that is not forgotten again.
        start(&subject.setup);
    }
    for round in 0..rounds {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            eprintln!("round {round}, {}", subject.name);
            for name in subject.forgotten {
                fs::remove_dir_all(subject.setup.path(name)).expect("the last start made it");
            }
            push(figures, start(&subject.setup));
        }
    }
    let mut table = Table::new("from exec to an answer", &columns);
    for (subject, figures) in subjects.iter().zip(figures) {
        table.row(subject.name, figures.into());
    }
    report.add(&table);
}

/// Starts a daemon, and stops it when it is ready. Returns milliseconds.
fn start(setup: &Setup) -> [f64; 3] {
    let config = setup.write_config();
    let port = free_port();
    let mut command = Command::new(&setup.program);
    command
        .args(["serve", "--config"])
        .arg(config)
        .env("EVENTOS__HTTP__LISTEN", format!("127.0.0.1:{port}"));
    let began = Instant::now();
    let mut daemon = Program::start(&mut command, "");
    let answered = ["/healthz", "/readyz"].map(|path| {
        while !answers(port, path) {
            assert!(began.elapsed() < DEADLINE, "{}", daemon.stderr());
            pause(Duration::from_millis(1));
        }
        began.elapsed().as_secs_f64() * 1e3
    });
    let cpu = ThreadTimes::read(daemon.pid()).total_seconds() * 1e3;
    daemon.terminate();
    daemon.wait_for_exit();
    [answered[0], answered[1], cpu]
}

/// Returns whether the response of a daemon has the status 200.
fn answers(port: u16, path: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        Ok::<_, std::io::Error>(response.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

/// Measures what a daemon uses that has nothing to do, and which of its threads do it.
fn rest(report: &mut Report, subjects: &[Subject], extent: Extent) {
    let columns = [
        "resident memory, MiB",
        "proportional (PSS), MiB",
        "of a core, %",
        "wake-ups a second",
        "threads",
    ];
    let mut figures: Vec<[Vec<f64>; 5]> = vec![Default::default(); subjects.len()];
    // The last subject counts.
    let mut threads: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
    for round in 0..extent.rounds.div_ceil(2) {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            eprintln!("round {round}, {}, at rest", subject.name);
            let (memory, by_name) = at_rest(&subject.setup, extent.seconds);
            let sum = |column: usize| by_name.values().map(|it| it[column]).sum();
            let memory = [memory.resident / MIB, memory.proportional / MIB];
            push(figures, [memory[0], memory[1], sum(0), sum(1), sum(2)]);
            if subject.name == subjects[subjects.len() - 1].name {
                for (name, figures) in by_name {
                    push(threads.entry(name).or_default(), figures);
                }
            }
        }
    }
    let mut table = Table::new("at rest, with the built-in broker", &columns);
    for (subject, figures) in subjects.iter().zip(figures) {
        table.row(subject.name, figures.into());
    }
    report.add(&table);
    let mut table = Table::new("at rest, with store.wasm: threads by name", &columns[2..]);
    for (name, figures) in threads {
        table.row(&name, figures.into());
    }
    report.add(&table);
}

fn push<const N: usize>(columns: &mut [Vec<f64>; N], figures: [f64; N]) {
    for (column, figure) in columns.iter_mut().zip(figures) {
        column.push(figure);
    }
}

/// Returns the memory of a daemon, and by the name of a thread, the percentage of a core, the wake-ups in a second, and the number
/// of threads with that name.
fn at_rest(setup: &Setup, seconds: u64) -> (Memory, BTreeMap<String, [f64; 3]>) {
    let daemon = setup.start();
    pause(SETTLING);
    let memory = Memory::read(daemon.pid());
    let before = threads(daemon.pid());
    pause(Duration::from_secs(seconds));
    let mut by_name = BTreeMap::<String, [f64; 3]>::new();
    for (id, after) in threads(daemon.pid()) {
        let Some(before) = before.get(&id) else {
            continue;
        };
        let [percent, wakeups, count] = by_name.entry(after.name).or_default();
        *percent += (after.cpu - before.cpu) / seconds as f64 * 100.0;
        *wakeups += (after.waits - before.waits) / seconds as f64;
        *count += 1.0;
    }
    (memory, by_name)
}

/// What a thread has done since its start.
struct Thread {
    name: String,
    /// Seconds of CPU.
    cpu: f64,
    /// How many times it has waited for something.
    waits: f64,
}

/// Reads the threads of a process, by their ids.
fn threads(pid: u32) -> BTreeMap<OsString, Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive");
    let read = |task: fs::DirEntry| {
        // The thread may end meanwhile.
        let file = |name| fs::read_to_string(task.path().join(name)).ok();
        let (status, times) = (file("status")?, file("schedstat")?);
        let waits = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        let (cpu, _) = times.split_once(' ')?;
        let thread = Thread {
            name: file("comm")?.trim().to_owned(),
            cpu: cpu.parse::<f64>().ok()? / 1e9,
            waits: waits.trim().parse().ok()?,
        };
        Some((task.file_name(), thread))
    };
    tasks.flatten().filter_map(read).collect()
}
