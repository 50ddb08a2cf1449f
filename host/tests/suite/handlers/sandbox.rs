//! What a handler may allocate beside its memory, what it may log, and what the engine is given to compile.

use std::{fs, thread, time::Instant};

use eventos_testkit::{Broker, Setup, eventually, handler};

use super::{Fixture, evento, refusal};
use crate::EVENTOS;

/// Appends a number in LEB128.
fn push_number(to: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Reads a number in LEB128, and returns it with the index of the byte after it.
fn read_number(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        number |= usize::from(byte & 0x7f) << shift;
        (at, shift) = (at + 1, shift + 7);
        if byte < 0x80 {
            return (number, at);
        }
    }
}

/// Returns the handler `probe`, a core module, with this many more tables of this many entries.
fn with_tables(tables: usize, entries: usize) -> Vec<u8> {
    const TABLES: u8 = 4;
    let module = fs::read(handler("probe")).expect("a module that was built");
    let mut made = module[..8].to_vec();
    let mut at = 8;
    while at < module.len() {
        let (id, (len, content)) = (module[at], read_number(&module, at + 1));
        let end = content + len;
        if id != TABLES {
            made.extend_from_slice(&module[at..end]);
            at = end;
            continue;
        }
        let (count, first) = read_number(&module, content);
        let mut section = Vec::new();
        push_number(&mut section, count + tables);
        section.extend_from_slice(&module[first..end]);
        for _ in 0..tables {
            // References to functions, without a maximum.
            section.extend([0x70, 0]);
            push_number(&mut section, entries);
        }
        made.push(TABLES);
        push_number(&mut made, section.len());
        made.extend(section);
        at = end;
    }
    made
}

/// A setup whose handlers are the default one and this file.
fn setup_with(file: &[u8], toml: &str) -> Setup {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    fs::write(setup.dir.path().join("plugins/50-probe.wasm"), file).expect("the file is written");
    setup
}

/// Runs `eventos check` on a handler and returns its exit code and what it says.
fn check(setup: &Setup, file: &str) -> (Option<i32>, String) {
    let config = setup.write_config();
    let output = std::process::Command::new(EVENTOS)
        .args(["check", "--config"])
        .arg(config)
        .arg(setup.dir.path().join(file))
        .output()
        .expect("the program runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn memories_and_tables_share_one_limit() {
    // With two bytes of a pointer and its room to grow, 12 tables of a million entries take 183 MiB.
    let tables = with_tables(12, 1_000_000);
    let setup = setup_with(&tables, "");
    let log = refusal(&setup);
    assert!(
        log.contains("bytes of memory; its limit is 67108864"),
        "{log}"
    );
    let (code, said) = check(&setup, "plugins/50-probe.wasm");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("bytes of memory; its limit is 67108864"),
        "{said}"
    );
    // With a limit that is large enough the same file runs.
    let setup = setup_with(&tables, "[handler.probe]\nmemory = \"256MiB\"\n");
    assert_eq!(check(&setup, "plugins/50-probe.wasm").0, Some(0));
}

#[test]
fn a_handler_has_few_tables_and_functions_of_limited_number_and_size() {
    let setup = setup_with(&with_tables(100, 1), "");
    let log = refusal(&setup);
    assert!(log.contains("101 tables; the maximum is 32"), "{log}");
    let (code, said) = check(&setup, "plugins/50-probe.wasm");
    assert_eq!(code, Some(1));
    assert!(said.contains("101 tables; the maximum is 32"), "{said}");

    let many = format!("(module (memory 1) {})", "(func)".repeat(100_001));
    let long = format!("(module (memory 1) (func {}))", "nop ".repeat(2 << 20));
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let daemon = setup.start();
    for (text, why) in [(many, "100001 functions"), (long, "in one function")] {
        let file = wat::parse_str(text).expect("it is WebAssembly");
        let began = Instant::now();
        let refused = daemon.put("/handlers/large", file.clone());
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains(why), "{}", refused.text);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        fs::write(setup.dir.path().join("large.wasm"), file).expect("the file is written");
        let (code, said) = check(&setup, "large.wasm");
        assert_eq!(code, Some(1));
        assert!(said.contains(why), "{said}");
    }
    let sparse = fs::File::create(setup.dir.path().join("sparse.wasm")).expect("a file");
    sparse.set_len(8 << 30).expect("a sparse file");
    let (code, said) = check(&setup, "sparse.wasm");
    assert_eq!(code, Some(1));
    assert!(said.contains("larger than 67108864 bytes"), "{said}");
}

#[test]
fn a_flood_of_log_lines_is_cut_off_and_counted() {
    let toml = "[handler.probe]\nlog_lines = 100\ntimeout = \"20s\"\n";
    let fixture = Fixture::new(toml, &[evento("it", "log-flood")]);
    assert_eq!(fixture.stored(), ["it"]);
    let log = fixture.daemon.wait_for_log("lines were left out");
    let lines = log
        .lines()
        .filter(|line| line.contains("floods the log"))
        .count();
    // The call may last for some seconds on a busy machine.
    assert!((100..=2_000).contains(&lines), "{lines}");
    let left_out: usize = log
        .lines()
        .filter_map(|line| {
            line.split_once("left_out=")?
                .1
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum();
    assert_eq!(lines + left_out, 50_000);
    assert!(log.len() < 2 << 20, "{}", log.len());
}

#[test]
fn a_long_line_is_cut_and_says_how_much_is_missing() {
    let fixture = Fixture::new("", &[evento("it", "log-long")]);
    let log = fixture.daemon.wait_for_log("it is long: ");
    let line = log
        .lines()
        .find(|line| line.contains("it is long: "))
        .expect("the line");
    assert!(line.len() < 10_000, "{}", line.len());
    assert!(
        line.contains("more bytes)"),
        "{}",
        &line[line.len() - 200..]
    );
}

#[test]
fn other_changes_do_not_wait_for_a_compilation() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], "");
    setup.cache = setup.dir.path().join("cache");
    let daemon = setup.start();
    let python = fs::read(handler("probe-python")).expect("a component that was built");
    thread::scope(|scope| {
        let upload = scope.spawn(|| daemon.put("/handlers/slow", python));
        eventually("the upload to be compiled", || {
            let again = daemon.post("/handlers/probe/pause");
            again.assert_status(200);
            let began = Instant::now();
            daemon.resume("probe");
            assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
            upload.is_finished().then_some(())
        });
        upload.join().expect("it was sent").assert_status(201);
    });
    assert_eq!(daemon.get("/handlers/slow").json()["state"], "running");
}
