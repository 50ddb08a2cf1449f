//! The WASI interfaces without resources of their own: environment, exit, clocks, random numbers, and the list of
//! preopened folders, which is empty.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use wasmtime::{
    Result, StoreContextMut, bail,
    component::{ComponentType, LinkerInstance, Lower, Resource},
    ensure,
};

use super::NeverCreated;
use crate::plugin::host::Host;

/// Origin of the monotonic clock.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Maximum number of random bytes that one call returns.
const RANDOM_BYTES: u64 = 1 << 20;

/// The state of the guest that calls.
type Guest<'s> = StoreContextMut<'s, Host>;

/// `record datetime` of wasi:clocks/wall-clock.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Defines the function, and returns whether it belongs to these interfaces.
pub(super) fn define(
    to: &mut LinkerInstance<'_, Host>,
    interface: &str,
    name: &str,
) -> Result<bool> {
    match (interface, name) {
        ("cli/environment", "get-environment") => {
            to.func_wrap(name, |_, (): ()| Ok((Vec::<(String, String)>::new(),)))
        }
        ("cli/environment", "get-arguments") => {
            to.func_wrap(name, |_, (): ()| Ok((Vec::<String>::new(),)))
        }
        ("cli/environment", "initial-cwd") => to.func_wrap(name, |_, (): ()| Ok((None::<String>,))),
        ("cli/exit", "exit") => to.func_wrap(name, |_, (status,): (Result<(), ()>,)| {
            let status = if status.is_ok() { "success" } else { "failure" };
            bail!("it exits with {status}; a handler has to return outcomes instead");
            #[allow(unreachable_code, reason = "the closure needs its result type")]
            Ok(())
        }),
        (
            "cli/terminal-stdin" | "cli/terminal-stdout" | "cli/terminal-stderr",
            "get-terminal-stdin" | "get-terminal-stdout" | "get-terminal-stderr",
        ) => to.func_wrap(name, |_, (): ()| Ok((None::<Resource<NeverCreated>>,))),
        ("filesystem/preopens", "get-directories") => to.func_wrap(name, |_, (): ()| {
            Ok((Vec::<(Resource<NeverCreated>, String)>::new(),))
        }),
        ("clocks/wall-clock", "now") => to.func_wrap(name, |_, (): ()| Ok((wall_clock(),))),
        ("clocks/wall-clock", "resolution") => to.func_wrap(name, |_, (): ()| {
            let (seconds, nanoseconds) = (0, 1);
            Ok((Datetime {
                seconds,
                nanoseconds,
            },))
        }),
        ("clocks/monotonic-clock", "now") => to.func_wrap(name, |_, (): ()| {
            Ok((u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX),))
        }),
        ("clocks/monotonic-clock", "resolution") => to.func_wrap(name, |_, (): ()| Ok((1_u64,))),
        ("random/random", "get-random-u64") | ("random/insecure", "get-insecure-random-u64") => to
            .func_wrap(name, |mut host: Guest<'_>, (): ()| {
                Ok((random(&mut host)?,))
            }),
        ("random/random", "get-random-bytes")
        | ("random/insecure", "get-insecure-random-bytes") => to
            .func_wrap(name, |mut host: Guest<'_>, (len,): (u64,)| {
                Ok((random_bytes(&mut host, len)?,))
            }),
        ("random/insecure-seed", "insecure-seed" | "get-insecure-seed") => to
            .func_wrap(name, |mut host: Guest<'_>, (): ()| {
                Ok(((random(&mut host)?, random(&mut host)?),))
            }),
        _ => return Ok(false),
    }?;
    Ok(true)
}

fn wall_clock() -> Datetime {
    // A clock before 1970 counts as 1970.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Datetime {
        seconds: now.as_secs(),
        nanoseconds: now.subsec_nanos(),
    }
}

fn random(host: &mut Guest<'_>) -> Result<u64> {
    let mut bytes = [0; 8];
    host.data_mut().fill_random(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn random_bytes(host: &mut Guest<'_>, len: u64) -> Result<Vec<u8>> {
    ensure!(
        len <= RANDOM_BYTES,
        "cannot return {len} random bytes at once; the maximum is {RANDOM_BYTES}"
    );
    let mut bytes = vec![0; usize::try_from(len)?];
    host.data_mut().fill_random(&mut bytes)?;
    Ok(bytes)
}
