//! Handlers compile in a process of its own, so that the daemon has none of the memory for it and outlives whatever happens there.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::{Answer, Broker, Daemon, Setup, eventually, handler};

use super::{evento, folder::Folder, swapping::probe};
use crate::EVENTOS;

/// The most memory that the daemon may have had after it has loaded a handler in Python on two cores, in MiB. The compiler alone
/// takes 300.
const MOST_MIB: u64 = 200;

/// The same after some swaps, with two versions at a time.
const MOST_SWAPPED_MIB: u64 = 280;

/// The same for each further core: there is an instance for each, of either version.
const MOST_MIB_A_CORE: u64 = 64;

/// A secret in the environment of the daemon.
const SECRET: &str = "of-the-daemon-alone";

/// Prepares a daemon that compiles what it gets, with these handlers.
fn setup(handlers: &[&str], config: &str) -> Setup {
    // What comes first belongs to the table `[handlers]`.
    let toml = format!("{config}\n[handler.probe]\ntimeout = \"60s\"\n");
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, handlers, &toml);
    setup.cache = setup.path("cache");
    setup
}

/// Returns the handler in Python as a file of its own for each `mark`.
fn python(mark: u8) -> Vec<u8> {
    let mut file = fs::read(handler("probe-python")).expect("a component that was built");
    // A custom section with this name, which has no effect.
    file.extend([0, 5, 4, b'm', b'a', b'r', mark]);
    file
}

/// Waits until the daemon compiles, and returns the id of that process.
fn wait_for_compiler(daemon: &Daemon) -> u32 {
    eventually("a process that compiles", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).ok()?;
        let children = tasks.filter_map(|task| {
            let children = task.ok()?.path().join("children");
            fs::read_to_string(children).ok()
        });
        let children = children.collect::<Vec<_>>().join(" ");
        let mut children = children.split_whitespace();
        let child = children.next()?.parse().ok()?;
        // Until then, it is a copy of the daemon.
        let line = of_process(child, "cmdline")?;
        line.contains("compile-for-the-daemon").then_some(child)
    })
}

/// Returns a file about a process, if it is still there.
fn of_process(pid: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

fn wait_until_gone(pid: u32) {
    eventually("the end of the process that compiles", || {
        let gone = of_process(pid, "cmdline").is_none_or(|line| line.is_empty());
        gone.then_some(())
    });
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Checks what a process that compiles has of the daemon.
fn check_inherited(compiler: u32) {
    let environment = of_process(compiler, "environ").expect("it runs");
    assert!(!environment.contains("EVENTOS"), "{environment}");
    assert!(!environment.contains(SECRET), "{environment}");
    eventually("only the three standard files to be open", || {
        let open = fs::read_dir(format!("/proc/{compiler}/fd")).expect("it runs");
        (open.count() == 3).then_some(())
    });
    let limits = of_process(compiler, "limits").expect("it runs");
    let data = limits
        .lines()
        .find(|line| line.starts_with("Max data size"));
    assert!(data.expect("a limit").contains("2147483648"), "{limits}");
    eventually("it to be the first to end without memory", || {
        let adjusted = of_process(compiler, "oom_score_adj").expect("it runs");
        (adjusted.trim() == "1000").then_some(())
    });
}

/// Checks the most memory that the daemon has had so far.
fn check_peak(daemon: &Daemon, most_mib: u64) {
    let status = of_process(daemon.pid(), "status").expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let mib = kib.expect("a figure").parse::<u64>().expect("a number") >> 10;
    println!("at most {mib} MiB");
    let cores = thread::available_parallelism().expect("a number").get() as u64;
    let most = most_mib + cores.saturating_sub(2) * MOST_MIB_A_CORE;
    assert!(mib < most, "{mib} MiB");
}

/// Replaces the handler `probe`, and kills the process that compiles it.
fn put_and_kill(daemon: &Daemon, file: Vec<u8>) -> Answer {
    thread::scope(|scope| {
        let put = scope.spawn(|| daemon.put("/handlers/00-probe", file));
        signal(wait_for_compiler(daemon), "KILL");
        put.join().expect("an answer")
    })
}

#[test]
fn a_handler_in_python_takes_the_daemon_little_memory_also_after_some_swaps() {
    let mut setup = setup(&["probe-python", "store"], "");
    let [from, to] =
        ["00-probe-python.wasm", "00-probe.wasm"].map(|file| setup.path("plugins").join(file));
    fs::rename(from, &to).expect("the file is renamed");
    setup.set_env("A_SECRET", SECRET);
    setup.set_env("EVENTOS__TELEMETRY__LOG", "info");
    // A file that stays open in whatever the daemon starts.
    let open = "exec 9</dev/null; exec \"$@\"";
    setup.wrapper = ["sh", "-c", open, "sh"].map(str::to_owned).to_vec();
    let daemon = setup.start_listening();
    let compiler = wait_for_compiler(&daemon);
    check_inherited(compiler);
    signal(compiler, "KILL");
    let folder = Folder { setup, daemon };
    folder.wait_for_error("00-probe.wasm", "it was killed");
    folder.wait_for_hold("was killed, as the system does when its memory runs out; touch the file");
    // What is not the fault of the file is tried again once anything has changed.
    let bytes = fs::read(&to).expect("the file");
    folder.drop_in("00-probe.wasm", &bytes);
    folder.daemon.wait_until_ready();
    let daemon = &folder.daemon;
    daemon.send(&evento("it", "good"));
    daemon.wait_for_messages(1);

    check_peak(daemon, MOST_MIB);
    let before = folder.handler("probe").expect("the handler")["digest"].clone();
    let problem = put_and_kill(daemon, python(1)).problem(422, "invalid-handler");
    assert!(
        problem.contains("the process that compiled it was killed"),
        "{problem}"
    );
    let js = fs::read(handler("probe-js")).expect("a component that was built");
    for _ in 0..2 {
        daemon
            .put("/handlers/00-probe", js.clone())
            .assert_status(200);
        daemon
            .put("/handlers/00-probe", bytes.clone())
            .assert_status(200);
    }
    assert_eq!(
        folder.handler("probe").expect("the handler")["digest"],
        before
    );
    check_peak(daemon, MOST_SWAPPED_MIB);
}

#[test]
fn one_that_needs_more_memory_than_is_permitted_is_refused() {
    let setup = setup(&["store"], "compile_memory = \"128MiB\"");
    let daemon = setup.start();
    let folder = Folder { setup, daemon };
    folder.drop_in("00-probe.wasm", &python(2));
    folder.wait_for_error(
        "00-probe.wasm",
        "compiling it needs more than 128.0 MiB of memory, the maximum in handlers.compile_memory",
    );
    assert_eq!(folder.marked_by("it"), "unmarked");
}

#[test]
fn the_end_of_the_daemon_is_that_of_what_compiles_and_no_fault_of_the_file() {
    let setup = setup(&["store", "probe-python"], "");
    let stop_with = |signals: &[&str]| {
        let daemon = setup.start_listening();
        let compiler = wait_for_compiler(&daemon);
        for name in signals {
            signal(compiler, name);
        }
        let began = Instant::now();
        daemon.signal("TERM");
        let (status, log) = daemon.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("cannot load the handler"), "{log}");
        assert!(began.elapsed() < Duration::from_secs(20), "{log}");
        wait_until_gone(compiler);
    };
    stop_with(&[]);
    // As when a supervisor signals each process of a service.
    stop_with(&["TERM"]);
    let daemon = setup.start_listening();
    let compiler = wait_for_compiler(&daemon);
    daemon.kill();
    wait_until_gone(compiler);
}

#[test]
fn a_program_that_was_replaced_while_it_runs_still_compiles() {
    let setup = setup(&["store"], "");
    let program = setup.path("eventos");
    if fs::hard_link(EVENTOS, &program).is_err() {
        fs::copy(EVENTOS, &program).expect("the program is copied");
    }
    let mut setup = setup;
    setup.program = program.to_str().expect("a text").to_owned();
    let daemon = setup.start();
    let folder = Folder { setup, daemon };
    replace(&program, "#!/bin/sh\necho another version >&2\n");
    folder.drop_in("00-probe.wasm", &probe(1));
    folder.assert_runs(1);
    fs::remove_file(&program).expect("the file is removed");
    folder.drop_in("00-probe.wasm", &probe(2));
    folder.assert_runs(2);
    let log = folder.daemon.log();
    assert!(
        !log.contains("cannot be compiled in a process of its own"),
        "{log}"
    );
}

/// Puts another file in the place of a program.
fn replace(program: &Path, text: &str) {
    let new = program.with_extension("new");
    fs::write(&new, text).expect("the file is written");
    fs::rename(new, program).expect("the file is renamed");
}

/// A program that the dynamic linker runs is, for the kernel, the dynamic linker.
#[test]
fn where_the_program_cannot_run_again_the_daemon_compiles() {
    let linkers = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    let linker = linkers.iter().find(|path| Path::new(path).exists());
    let mut setup = setup(&["probe", "store"], "");
    setup.wrapper = vec![linker.expect("the dynamic linker").to_string()];
    let daemon = setup.start();
    daemon.wait_for_log("cannot be compiled in a process of its own");
    daemon.send(&evento("it", "good"));
    daemon.wait_for_messages(1);
}
