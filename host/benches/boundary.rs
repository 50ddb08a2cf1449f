//! `cargo xtask bench boundary`: what it costs an Evento to cross into a handler and back, as CPU
//! time of the one thread that does it, filling the columns included. Beside it, in the same
//! rounds, the same look in native Rust, and through a component that takes a list of records.

mod measure;

use std::{hint::black_box, path::PathBuf, sync::Arc};

use eventos::{
    event::{Batch, Header, Offset, Partition, RawBatch, Timestamp},
    plugin::{Engine, Handler, HandlerConfig, HandlerFile, Instance, Settings},
};
use measure::{Figures, thread_seconds};
use wasmtime::{Store, component::Linker};

/// Rounds of every size and way, in turn.
const ROUNDS: usize = 15;

/// Eventos of one way in one round.
const EVENTOS: usize = 1 << 18;

/// At most so many nanoseconds an Evento at a batch of 256.
const GOAL: f64 = 50.0;

wasmtime::component::bindgen!({
    path: "../plugins/bench-records/wit",
    world: "per-record",
    ownership: Borrowing { duplicate_if_necessary: true },
});

fn main() {
    let mut columns = columns();
    let mut records = records();
    println!("ns of CPU an Evento: median of {ROUNDS} rounds (least to greatest)");
    println!("100-byte values, a key, two headers; filling the batch included\n");
    println!("batch  way                  ns an Evento");
    for size in [1, 16, 256, 1_024] {
        let template = template(size);
        let mut rounds = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            rounds[0].push(time(size, || by_columns(&mut columns, &template)));
            rounds[1].push(time(size, || by_records(&mut records, &template)));
            rounds[2].push(time(size, || natively(&template)));
        }
        let ways = ["columns (eventos)", "list<record>", "native Rust"];
        for (way, rounds) in ways.iter().zip(&rounds) {
            println!("{size:5}  {way:18}  {}", Figures::new(rounds.clone()));
        }
        let ratio = Figures::ratios(&rounds[1], &rounds[0]);
        println!("       list<record> / columns {ratio}");
        if size == 256 {
            let median = Figures::new(rounds[0].clone()).median();
            let verdict = if median <= GOAL { "met" } else { "MISSED" };
            println!("       goal: at most {GOAL} ns at a batch of 256: {verdict}");
        }
        println!();
    }
}

/// Nanoseconds an Evento.
fn time(size: usize, mut batch: impl FnMut()) -> f64 {
    let batches = EVENTOS / size;
    let began = thread_seconds();
    for _ in 0..batches {
        batch();
    }
    (thread_seconds() - began) * 1e9 / (batches * size) as f64
}

/// A batch to fill others from, record by record, as the intake fills them.
fn template(size: usize) -> Batch {
    let mut raw = RawBatch::new("eventos".into(), Partition(0));
    for i in 0..size {
        let value = format!(r#"{{"id":"{i:08}","tipo":"sismo","place":"{:-<57}"}}"#, "");
        assert_eq!(value.len(), 100);
        let header = |name| Header {
            name,
            value: Some(b"0123456789abcdef"),
        };
        let offset = Offset(i as i64);
        raw.push(
            offset,
            Some(b"the-key"),
            Some(value.as_bytes()),
            [header("trace-id"), header("source")],
            Timestamp(1_700_000_000_000),
            0,
        );
    }
    raw.read().0
}

fn fill(template: &Batch) -> Batch {
    let mut batch = Batch::empty_like(template);
    for i in 0..template.len() {
        batch.push_from(template, i);
    }
    batch
}

fn by_columns(instance: &mut Instance, template: &Batch) {
    let answer = instance.call(&Arc::new(fill(template)));
    let answer = answer.expect("the guest answers");
    assert_eq!(answer.outcomes.iter().len(), template.len());
}

fn natively(template: &Batch) {
    let batch = black_box(fill(template));
    let look = |i| {
        let mut record = batch.record(i);
        let header = record.headers.next().and_then(|header| header.value);
        let looked = [Some(batch.tipo(i).as_bytes()), record.value, header];
        let first = looked.into_iter().flatten().filter_map(<[u8]>::first);
        u8::from(first.min() == Some(&b'!'))
    };
    let outcomes: Vec<u8> = (0..batch.len()).map(look).collect();
    black_box(outcomes);
}

fn by_records((store, bindings): &mut (Store<()>, PerRecord), template: &Batch) {
    let headers: Vec<Vec<HeaderParam<'_>>> = (0..template.len())
        .map(|i| {
            let headers = template.record(i).headers;
            let each = headers.map(|header| HeaderParam {
                name: header.name,
                value: header.value.unwrap_or_default(),
            });
            each.collect()
        })
        .collect();
    let eventos: Vec<EventoParam<'_>> = (0..template.len())
        .map(|i| {
            let record = template.record(i);
            EventoParam {
                id: template.id(i),
                tipo: template.tipo(i),
                key: record.key.unwrap_or_default(),
                value: record.value.unwrap_or_default(),
                headers: &headers[i],
                timestamp: record.timestamp.0,
                offset: template.offset(i).0,
            }
        })
        .collect();
    let outcomes = bindings.call_handle(store, &eventos);
    assert_eq!(outcomes.expect("the guest answers").len(), template.len());
}

fn columns() -> Instance {
    let engine = Engine::new().expect("an engine");
    let file = HandlerFile::at(&guest("bench-columns"));
    let handler = Handler::load(
        &engine,
        &file,
        &Settings::default(),
        &HandlerConfig::default(),
    );
    let handler = handler.expect("run it as `cargo xtask bench boundary`, which builds the guests");
    handler.instance().expect("it starts")
}

fn records() -> (Store<()>, PerRecord) {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = wasmtime::Engine::new(&config).expect("an engine");
    let component = wasmtime::component::Component::from_file(&engine, guest("bench-records"))
        .expect("run it as `cargo xtask bench boundary`, which builds the guests");
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let linker = Linker::new(&engine);
    let bindings = PerRecord::instantiate(&mut store, &component, &linker);
    (store, bindings.expect("it starts"))
}

fn guest(name: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/handlers");
    target.join(format!("{name}.wasm"))
}
