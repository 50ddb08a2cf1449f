//! A handler for the host's tests. The `tipo` of each Evento says what the handler does with it, so a test chooses by
//! what it sends. An Evento with an unknown tipo passes, and so does a tombstone, unless the setting `tombstone` names
//! a tipo for it.
//!
//! Other settings: `emit_to`, the topic for "emit"; `fail_init`, the text of an error that `init` returns; `start`, the
//! way in which `init` misbehaves ("panic", "spin", "grow").

mod description;
mod hostile;

use eventos_sdk::{Evento, Outcome, Record, config, emit, handler, log, store};

handler!(handle, init = init);

fn init() -> Result<(), String> {
    if let Some(text) = config::get("fail_init") {
        return Err(format!("fail_init is set: {text}"));
    }
    hostile::act(&config::get("start").unwrap_or_default());
    Ok(())
}

/// Version of this handler. A test creates other versions by overwriting the digit in the `.wasm` file.
static VERSION: &str = "probe-version-0";

/// Returns an Evento that names the version of the handler.
fn version(evento: &Evento) -> Record {
    let version = std::hint::black_box(VERSION);
    Record::new(format!(
        r#"{{"id":"{}","tipo":"version","by":"{version}"}}"#,
        evento.id()
    ))
}

/// Returns an Evento with a random number.
fn random(evento: &Evento) -> Record {
    Record::new(format!(
        r#"{{"id":"{}","tipo":"random","numbers":["{}"]}}"#,
        evento.id(),
        evento.seed()
    ))
}

fn handle(evento: &Evento) -> Outcome {
    let tombstone_tipo = evento
        .is_tombstone()
        .then(|| config::get("tombstone"))
        .flatten();
    let tipo = tombstone_tipo.as_deref().unwrap_or(evento.tipo());
    match tipo {
        "drop" => Outcome::Drop,
        "replace" => Outcome::replace([part(evento, 1), part(evento, 2).header("part", "2")]),
        "replace-million" => Outcome::replace((0..1_000_000).map(|_| Record::tombstone("k"))),
        "replace-thousand" => Outcome::replace((0..1_000).map(|_| Record::tombstone("k"))),
        "replace-none" => Outcome::replace([]),
        "replace-junk" => Outcome::replace([Record::new("junk")]),
        "replace-tombstone" => Outcome::replace([Record::tombstone(evento.id())]),
        "version" => Outcome::replace([version(evento)]),
        "random" => Outcome::replace([random(evento)]),
        "echo" => Outcome::replace([evento.to_record()]),
        "retry" => Outcome::retry(format!("{} is asked to be retried", evento.id())),
        "reject" => Outcome::reject(format!("{} is asked to be rejected", evento.id())),
        "headers" => Outcome::reject(description::describe(evento)),
        "config" => Outcome::reject(format!("{:?}", config::all())),
        "name" => Outcome::reject(config::get("eventos.handler").unwrap_or_default()),
        "store" | "store-reject" | "store-retry" | "store-panic" => {
            store::append(evento);
            outcome_after_effect(tipo)
        }
        "emit" | "emit-reject" | "emit-retry" | "emit-panic" => {
            let topic = config::get("emit_to").expect("the setting emit_to is set");
            emit::send(&topic, evento, full_record(evento));
            outcome_after_effect(tipo)
        }
        "emit-forbidden" => {
            emit::send("forbidden", evento, full_record(evento));
            Outcome::Pass
        }
        "log-flood" => {
            for i in 0..50_000 {
                log::info!("{} floods the log: {i}", evento.id());
            }
            Outcome::Pass
        }
        "log-long" => {
            log::info!("{} is long: {}", evento.id(), "x".repeat(1 << 20));
            Outcome::Pass
        }
        "log" | "log-panic" => {
            log::trace!("{} at trace", evento.id());
            log::debug!("{} at debug", evento.id());
            log::info!("{} at info", evento.id());
            log::warn!("{} at warn", evento.id());
            log::error!("{} at error", evento.id());
            outcome_after_effect(tipo)
        }
        tipo => {
            hostile::act(tipo);
            Outcome::Pass
        }
    }
}

/// Ends the handling after an effect as the suffix of `tipo` says, so that a test can see whether the effect counts.
fn outcome_after_effect(tipo: &str) -> Outcome {
    match tipo.rsplit('-').next() {
        Some("reject") => Outcome::reject("rejected after an effect"),
        Some("retry") => Outcome::retry("retried after an effect"),
        Some("panic") => panic!("panicked after an effect"),
        _ => Outcome::Pass,
    }
}

/// Returns a replacement with a new value and the key, headers and timestamp of its source.
fn part(evento: &Evento, number: usize) -> Record {
    let value = format!(
        r#"{{"id":"part-{number}","tipo":"part","of":{}}}"#,
        evento.text().unwrap_or("null")
    );
    evento.to_record().value(value)
}

/// Returns a record with every part that a record can have.
fn full_record(evento: &Evento) -> Record {
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
