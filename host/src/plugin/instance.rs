//! An instance: a handler's memory, which handles one batch at a time and is discarded after a failure.

use std::sync::Arc;

use wasmtime::Store;

use super::{
    LoadFault, failure,
    host::{Host, Limits},
    world::{Exports, Pre},
};
use crate::{
    event::{Batch, DeadLetterReason, FailureKind, HandlerOutput},
    telemetry::metrics::HandlerMetrics,
};

/// A running handler.
pub struct Instance(Running);

#[allow(
    clippy::large_enum_variant,
    reason = "there is one per worker and handler, never many"
)]
enum Running {
    Component(Component),
    Native(fn(&Batch) -> HandlerOutput),
}

struct Component {
    store: Store<Host>,
    exports: Exports,
    /// Bytes of memory that the metrics currently count for this instance.
    counted: usize,
    /// Whether it has handled a batch.
    is_used: bool,
}

impl Instance {
    pub(super) fn start(pre: &Pre, limits: Arc<Limits>) -> Result<Self, LoadFault> {
        let output = limits.output;
        let _call = limits.clock.begin_call();
        let mut store = Store::new(pre.engine(), Host::new(limits));
        store.limiter(|host| host);
        store.set_hostcall_fuel(output);
        store.epoch_deadline_callback(|context| context.data().timer().check());
        store.set_epoch_deadline(store.data().timer().ticks());
        match pre.start(&mut store) {
            Ok(Ok(exports)) => Ok(Self(Running::Component(Component::new(store, exports)))),
            Ok(Err(refusal)) => Err(LoadFault::Init(refusal)),
            Err(error) => {
                store.data_mut().log.print_rest();
                store.data().log.report_left_out(true);
                Err(LoadFault::Start(failure::of_call(&error, store.data())))
            }
        }
    }

    pub(super) fn native(handle: fn(&Batch) -> HandlerOutput) -> Self {
        Self(Running::Native(handle))
    }

    /// Passes a batch to the handler. None of the effects that it returns has happened yet.
    ///
    /// # Errors
    /// Returns why the call failed; the instance must not be called again.
    pub fn call(&mut self, batch: &Arc<Batch>) -> Result<HandlerOutput, Box<DeadLetterReason>> {
        match &mut self.0 {
            Running::Component(component) => component.call(batch),
            Running::Native(handle) => Ok(handle(batch)),
        }
    }
}

impl Component {
    fn new(store: Store<Host>, exports: Exports) -> Self {
        let mut component = Self {
            store,
            exports,
            counted: 0,
            is_used: false,
        };
        component.metrics().instances_changed(1);
        component.count();
        component
    }

    fn call(&mut self, batch: &Arc<Batch>) -> Result<HandlerOutput, Box<DeadLetterReason>> {
        let called = self.handle(batch);
        // The pipeline hands the records of such a call over again, and then the handler logs the same.
        let is_repeated = |failure: &DeadLetterReason| {
            batch.len() > 1 || self.is_used && failure.kind() == Some(FailureKind::Memory)
        };
        let is_repeated = called.as_ref().is_err_and(|failure| is_repeated(failure));
        let host = self.store.data_mut();
        match is_repeated {
            true => host.log.discard_lines(),
            false => host.log.write_lines(),
        }
        host.log.report_left_out(false);
        self.is_used = true;
        called
    }

    fn handle(&mut self, batch: &Arc<Batch>) -> Result<HandlerOutput, Box<DeadLetterReason>> {
        let host = self.store.data_mut();
        host.begin(batch);
        let ticks = host.timer().ticks();
        let _call = host.limits().clock.begin_call();
        self.store.set_epoch_deadline(ticks);
        let answer = self.exports.handle(&mut self.store, batch);
        if answer.is_err() {
            self.store.data_mut().log.print_rest();
        }
        self.count();
        let outcomes = answer.map_err(|error| failure::of_call(&error, self.store.data()))?;
        outcomes
            .check(batch.len())
            .map_err(|fault| failure::of_answer(&fault))?;
        let host = self.store.data_mut();
        let bytes = host.staged_bytes() + outcomes.footprint();
        if bytes > host.limits().output {
            return Err(failure::of_output(bytes, host.limits()));
        }
        let staged = host.finish();
        Ok(HandlerOutput {
            outcomes,
            stored: staged.stored,
            emitted: staged.emitted,
        })
    }

    /// Updates the memory metric to what the instance uses now.
    fn count(&mut self) {
        let now = self.store.data().memory();
        if now != self.counted {
            // An instance has far less than 2^63 bytes.
            self.metrics()
                .memory_changed(now as i64 - self.counted as i64);
            self.counted = now;
        }
    }

    fn metrics(&self) -> &HandlerMetrics {
        &self.store.data().limits().metrics
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.store.data().log.report_left_out(true);
        self.metrics().memory_changed(-(self.counted as i64));
        self.metrics().instances_changed(-1);
    }
}
