//! `cargo xtask bench boundary`: the cost of one Evento to cross into a handler and back, as CPU time of the thread that does it. It
//! includes filling the columns. The same rounds measure the same logic in native Rust, and in a component that takes a list of records.

use std::{fs, hint::black_box, path::PathBuf, sync::Arc};

use eventos::{
    event::{Batch, EventoRef, Header, Id, Offset, Partition, Timestamp, TopicPartition},
    plugin::{Compiler, Engine, Handler, HandlerConfig, HandlerFile, Instance, Settings},
    telemetry::metrics::Metrics,
};
use eventos_testkit::measure::{Figures, thread_seconds};
use wasmtime::{
    Store,
    component::{Component, Linker},
};
use wit_component::ComponentEncoder;

/// Rounds of each batch size. All ways take turns within a round.
const ROUNDS: usize = 15;

/// Eventos per way and round.
const EVENTOS: usize = 1 << 18;

/// Maximum of nanoseconds per Evento with a batch of 256.
const GOAL: f64 = 50.0;

/// The alternative contract, in which a batch is a list of records.
mod per_record {
    wasmtime::component::bindgen!({
        path: "../plugins/bench-records/wit",
        world: "per-record",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

fn main() {
    let mut columns = columns();
    let mut records = records();
    println!("ns of CPU per Evento: median of {ROUNDS} rounds (minimum to maximum)");
    println!("100-byte values, a key, two headers; includes filling the batch\n");
    println!("batch  way                  ns per Evento");
    for size in [1, 16, 256, 1_024] {
        let source = Source::new(size);
        let mut rounds = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            rounds[0].push(time(size, || by_columns(&mut columns, &source)));
            rounds[1].push(time(size, || by_records(&mut records, &source)));
            rounds[2].push(time(size, || natively(&source)));
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
            println!("       goal: at most {GOAL} ns with a batch of 256: {verdict}");
        }
        println!();
    }
}

/// Measures the nanoseconds per Evento.
fn time(size: usize, mut batch: impl FnMut()) -> f64 {
    let batches = EVENTOS / size;
    let began = thread_seconds();
    for _ in 0..batches {
        batch();
    }
    (thread_seconds() - began) * 1e9 / (batches * size) as f64
}

/// Records as the consumer has them in memory, each on its own.
struct Source {
    values: Vec<String>,
    /// An empty batch with the capacity that the next batch of a partition has.
    room: Batch,
}

const KEY: &[u8] = b"the-key";

const HEADERS: [Header<'static>; 2] = {
    let value: Option<&[u8]> = Some(b"0123456789abcdef");
    let [id, source]: [&[u8]; 2] = [b"trace-id", b"source"];
    [
        Header { name: id, value },
        Header {
            name: source,
            value,
        },
    ]
};

const TIMESTAMP: Timestamp = Timestamp(1_700_000_000_000);

impl Source {
    fn new(size: usize) -> Self {
        let value = |i| format!(r#"{{"id":"{i:08}","tipo":"sismo","place":"{:-<57}"}}"#, "");
        let mut source = Self {
            values: (0..size).map(value).collect(),
            room: Batch::new(TopicPartition::new("eventos", Partition(0))),
        };
        assert!(source.values.iter().all(|value| value.len() == 100));
        source.room = source.raw();
        source
    }

    /// Fills a batch in the same way as the intake.
    fn raw(&self) -> Batch {
        let mut raw = Batch::empty_like(&self.room);
        for (i, value) in self.values.iter().enumerate() {
            let (offset, value) = (Offset(i as i64), Some(value.as_bytes()));
            raw.push(offset, Some(KEY), value, HEADERS, (TIMESTAMP, 0));
        }
        raw
    }

    /// Makes the batch that a worker makes, without parsing: the positions of id and tipo are known.
    fn batch(&self) -> Batch {
        let mut batch = self.raw();
        let unreadable = batch.read_with(|value| {
            let (id, tipo) = (Id::Text(id_in(value).into()), "sismo".into());
            Ok(EventoRef { id, tipo })
        });
        assert!(unreadable.offsets.is_empty());
        batch
    }
}

fn id_in(value: &[u8]) -> &str {
    std::str::from_utf8(&value[7..15]).expect("digits")
}

fn by_columns(instance: &mut Instance, source: &Source) {
    let answer = instance.call(&Arc::new(source.batch()));
    let answer = answer.expect("the handler returns");
    assert_eq!(answer.outcomes.iter().len(), source.values.len());
}

fn natively(source: &Source) {
    let batch = black_box(source.batch());
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

fn by_records((store, bindings): &mut (Store<()>, per_record::PerRecord), source: &Source) {
    let headers = HEADERS.map(|header| per_record::Header {
        name: std::str::from_utf8(header.name).expect("UTF-8"),
        value: header.value.unwrap_or_default(),
    });
    let eventos: Vec<_> = source
        .values
        .iter()
        .enumerate()
        .map(|(i, value)| per_record::Evento {
            id: id_in(value.as_bytes()),
            tipo: "sismo",
            key: KEY,
            value: value.as_bytes(),
            headers: &headers,
            timestamp: TIMESTAMP.0,
            offset: i as i64,
        })
        .collect();
    let outcomes = bindings.call_handle(store, &eventos);
    assert_eq!(outcomes.expect("the handler returns").len(), eventos.len());
}

fn columns() -> Instance {
    let engine = Engine::new(None, Compiler::InProcess).expect("an engine");
    let file = HandlerFile::at(&guest("bench-columns"));
    let handler = Handler::load(
        &engine,
        &file,
        &Settings::default(),
        &HandlerConfig::default(),
        Metrics::new().handler("bench-columns"),
    );
    let handler = handler.expect("run it as `cargo xtask bench boundary`, which builds the guests");
    handler.instance().expect("the handler starts")
}

fn records() -> (Store<()>, per_record::PerRecord) {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = wasmtime::Engine::new(&config).expect("an engine");
    let module = fs::read(guest("bench-records"))
        .expect("run it as `cargo xtask bench boundary`, which builds the guests");
    let encoder = ComponentEncoder::default().module(&module);
    let component = encoder.and_then(|mut encoder| encoder.encode());
    let component = Component::new(&engine, component.expect("the module has its world"));
    let component = component.expect("a component");
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let linker = Linker::new(&engine);
    let bindings = per_record::PerRecord::instantiate(&mut store, &component, &linker);
    (store, bindings.expect("the handler starts"))
}

fn guest(name: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/handlers");
    target.join(format!("{name}.wasm"))
}
