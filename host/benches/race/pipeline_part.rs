//! The pipeline of the daemon with the default handler, `store.wasm`, and default settings but for the room in the store.

use std::time::Duration;

use bytesize::ByteSize;
use eventos::{
    kafka::{self, PartitionCount},
    pipeline::{Config, Guarantee, Output, Pipeline},
    plugin::{self, Compiler, CompilerProgram},
    store::{self, Store},
};
use eventos_testkit::{measure::part::runtime, wait::pause_async};
use tokio_util::sync::CancellationToken;

use crate::{
    PARTITIONS, component::component, contestants::Job, pipeline::pipeline, progress::Progress,
};

/// Consumes and stores every event, and sends it on if there is an output topic.
pub(crate) fn run(job: &Job, program: CompilerProgram) {
    // Another process compiles, as in the daemon: its memory would be reused here, and so hide what the events take.
    let memory = plugin::Config::default().compile_memory;
    let handler = component(Compiler::OwnProcess(program, memory));
    let store = Store::new(&store::Config {
        max_events: job.events,
        max_bytes: ByteSize::tib(1),
        ..store::Config::default()
    });
    let kafka = kafka::Config {
        topic: job.topic.clone(),
        group_id: job.group.clone(),
        ..kafka::Config::default()
    };
    let guarantee = match job.is_exactly_once {
        true => Guarantee::ExactlyOnce,
        false => Guarantee::AtLeastOnce,
    };
    let output = job.output.as_ref().map(|topic| Output {
        topic: topic.clone(),
        partitions: PartitionCount::new(PARTITIONS),
    });
    let runtime = runtime();
    let settings = format!(
        "eventos {}, store.wasm, default settings but for store.max_events, {guarantee:?}",
        env!("CARGO_PKG_VERSION")
    );
    let mut progress = Progress::ready(&settings, job.events);
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let pipeline = Pipeline {
            config: Config {
                guarantee,
                ..Config::default()
            },
            output,
            ..pipeline(&job.servers, kafka, handler, &store, &stop)
        };
        let running = pipeline.start().expect("started");
        tokio::spawn(async {
            let ended = running.await;
            panic!("the pipeline ended: {ended:?}");
        });
        while !progress.is_done() {
            pause_async(Duration::from_millis(2)).await;
            progress.reached(store.events());
        }
    });
    progress.wait()
}
