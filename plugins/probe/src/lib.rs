//! A handler for the host's tests: each Evento is treated as its `tipo` says, so a test picks what happens by what
//! it sends. An unknown tipo passes, and so does a tombstone, unless the setting `tombstone` names a tipo for it.
//!
//! Other settings: `emit_to`, the topic of "emit"; `fail_init`, the text of an error at the start; `start`, the name
//! of something bad to do at the start ("panic", "spin", "grow").

mod hostile;
mod seen;

use eventos_sdk::{Evento, Outcome, Record, config, emit, handler, log, store};

handler!(handle, init = init);

fn init() -> Result<(), String> {
    if let Some(text) = config::get("fail_init") {
        return Err(format!("fail_init is set: {text}"));
    }
    hostile::act(&config::get("start").unwrap_or_default());
    Ok(())
}

/// A test makes other versions of this handler by writing another digit into the file.
static VERSION: &str = "probe-version-0";

/// The Evento with the version that handled it.
fn version(evento: &Evento) -> Record {
    let version = std::hint::black_box(VERSION);
    Record::new(format!(
        r#"{{"id":"{}","tipo":"version","by":"{version}"}}"#,
        evento.id()
    ))
}

fn handle(evento: &Evento) -> Outcome {
    let of_tombstones = evento
        .is_tombstone()
        .then(|| config::get("tombstone"))
        .flatten();
    let tipo = of_tombstones.as_deref().unwrap_or(evento.tipo());
    match tipo {
        "drop" => Outcome::Drop,
        "replace" => Outcome::replace([part(evento, 1), part(evento, 2).header("part", "2")]),
        "replace-million" => Outcome::replace((0..1_000_000).map(|_| Record::tombstone("k"))),
        "replace-thousand" => Outcome::replace((0..1_000).map(|_| Record::tombstone("k"))),
        "replace-none" => Outcome::replace([]),
        "replace-junk" => Outcome::replace([Record::new("junk")]),
        "replace-tombstone" => Outcome::replace([Record::tombstone(evento.id())]),
        "version" => Outcome::replace([version(evento)]),
        "echo" => Outcome::replace([evento.to_record()]),
        "retry" => Outcome::retry(format!("{} is asked to be retried", evento.id())),
        "reject" => Outcome::reject(format!("{} is asked to be rejected", evento.id())),
        "headers" => Outcome::reject(seen::describe(evento)),
        "config" => Outcome::reject(format!("{:?}", config::all())),
        "store" | "store-reject" | "store-retry" | "store-panic" => {
            store::append(evento);
            after(tipo)
        }
        "emit" | "emit-reject" | "emit-retry" | "emit-panic" => {
            let topic = config::get("emit_to").expect("the setting emit_to is set");
            emit::send(&topic, evento, made(evento));
            after(tipo)
        }
        "emit-forbidden" => {
            emit::send("forbidden", evento, made(evento));
            Outcome::Pass
        }
        "log" | "log-panic" => {
            log::trace!("{} at trace", evento.id());
            log::debug!("{} at debug", evento.id());
            log::info!("{} at info", evento.id());
            log::warn!("{} at warn", evento.id());
            log::error!("{} at error", evento.id());
            after(tipo)
        }
        tipo => {
            hostile::act(tipo);
            Outcome::Pass
        }
    }
}

/// What follows an effect, so that a test can see whether the effect counts.
fn after(tipo: &str) -> Outcome {
    match tipo.rsplit('-').next() {
        Some("reject") => Outcome::reject("rejected after an effect"),
        Some("retry") => Outcome::retry("retried after an effect"),
        Some("panic") => panic!("panicked after an effect"),
        _ => Outcome::Pass,
    }
}

/// A replacement with key, headers and timestamp of its source, and a value of its own.
fn part(evento: &Evento, number: usize) -> Record {
    let value = format!(
        r#"{{"id":"part-{number}","tipo":"part","of":{}}}"#,
        evento.text().unwrap_or("null")
    );
    evento.to_record().value(value)
}

/// A record with all that a record can have.
fn made(evento: &Evento) -> Record {
    let key = format!("key of {}", evento.id());
    let record = Record::new(evento.value().unwrap_or_default())
        .key(key)
        .timestamp(1_700_000_000_000);
    record
        .header("a", "1")
        .null_header("nothing")
        .header("a", "2")
}

#[cfg(test)]
mod tests;
