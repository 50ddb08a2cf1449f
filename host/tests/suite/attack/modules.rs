//! Modules that are uploaded as handlers. None of them replaces a handler that runs.

use super::*;

pub(super) const ATTACKS: &[NamedAttack] = &[
    ("an empty module", |target| upload(target, Vec::new())),
    ("a module of random bytes", |target| {
        let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        upload(target, (0..100_000).map(byte).collect())
    }),
    ("half of a component", |target| {
        let whole = fs::read(eventos_testkit::handler("store")).expect("it is built");
        upload(target, whole[..whole.len() / 2].to_vec())
    }),
    ("a component with changed bytes", |target| {
        let mut module = fs::read(eventos_testkit::handler("store")).expect("it is built");
        let middle = module.len() / 2;
        module[middle..middle + 64].fill(0xff);
        upload(target, module)
    }),
    ("a module that is no handler", |target| {
        wat(target, "(module)")
    }),
    ("a module with 4 GiB of memory", |target| {
        wat(target, "(module (memory (export \"memory\") 65536))")
    }),
    ("a module with a table of four billion entries", |target| {
        wat(target, "(module (table 4294967295 funcref))")
    }),
    (
        "a module with 100 tables of ten million entries",
        |target| {
            wat(
                target,
                &format!("(module {})", "(table 10000000 funcref)".repeat(100)),
            )
        },
    ),
    ("a module that never ends its start", |target| {
        wat(target, "(module (func $f (loop (br 0))) (start $f))")
    }),
    ("a module that imports a socket", |target| {
        wat(
            target,
            r#"(module (import "wasi_snapshot_preview1" "sock_send" (func (param i32 i32 i32 i32 i32) (result i32))))"#,
        )
    }),
    ("a component that imports the file system", |target| {
        let instance = "wasi:filesystem/preopens@0.2.0";
        wat(
            target,
            &format!(r#"(component (import "{instance}" (instance)))"#),
        )
    }),
    ("a module with 200,000 functions", |target| {
        wat(target, &format!("(module {})", "(func)".repeat(200_000)))
    }),
    ("a module with expressions nested 20,000 deep", |target| {
        let nested = format!(
            "(module (func {}{}))",
            "(block ".repeat(20_000),
            ")".repeat(20_000)
        );
        wat(target, &nested)
    }),
];

fn wat(target: &Target, source: &str) -> Outcome {
    match wat::parse_str(source) {
        Ok(module) => upload(target, module),
        Err(error) => Err(format!("not a module: {error}")),
    }
}

/// Uploads a module in the place of the handler `store`, which has to stay.
fn upload(target: &Target, module: Vec<u8>) -> Outcome {
    let digest = |target: &Target| target.daemon.get("/handlers/store").json()["digest"].clone();
    let before = digest(target);
    let request = target
        .daemon
        .request(reqwest::Method::PUT, "/handlers/store");
    let request = request
        .header("content-type", "application/wasm")
        .body(module);
    let answer: Answer = request.send().expect("the daemon answers").into();
    if digest(target) != before {
        return Err("the handler was replaced".to_owned());
    }
    refused(&answer)
}
