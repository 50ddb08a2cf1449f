//! An instance: a handler's memory, one batch at a time. After a failure it is spent.

use std::sync::Arc;

use wasmtime::Store;

use super::{
    Failure, LoadFault,
    bindings::{self, HandlerPre},
    engine::ticks,
    host::{Host, Limits},
};
use crate::event::{Answer, Batch, Outcomes};

/// One running handler.
pub struct Instance(Running);

// One a worker and handler, never in bulk: what the smaller variant wastes does not matter.
#[allow(clippy::large_enum_variant)]
enum Running {
    Component(Component),
    Native(fn(&Batch) -> Answer),
}

struct Component {
    store: Store<Host>,
    bindings: bindings::Handler,
    /// Ticks of the engine's clock that one call may take.
    ticks: u64,
}

impl Instance {
    pub(super) fn start(pre: &HandlerPre<Host>, limits: Arc<Limits>) -> Result<Self, LoadFault> {
        let ticks = ticks(limits.timeout);
        let mut store = Store::new(pre.engine(), Host::new(limits));
        store.limiter(|host| host);
        store.set_epoch_deadline(ticks);
        let started = pre.instantiate(&mut store).and_then(|bindings| {
            let answer = bindings.call_init(&mut store)?;
            Ok((bindings, answer))
        });
        match started {
            Ok((bindings, Ok(()))) => Ok(Self(Running::Component(Component {
                store,
                bindings,
                ticks,
            }))),
            Ok((_, Err(refusal))) => Err(LoadFault::Init(refusal)),
            Err(error) => Err(LoadFault::Start(Failure::of_call(&error, store.data()))),
        }
    }

    pub(super) fn native(handle: fn(&Batch) -> Answer) -> Self {
        Self(Running::Native(handle))
    }

    /// Hands a batch in. Nothing of the answer has happened yet.
    ///
    /// # Errors
    /// [`Failure`]; the instance must not be called again then.
    pub fn call(&mut self, batch: &Arc<Batch>) -> Result<Answer, Failure> {
        match &mut self.0 {
            Running::Component(component) => component.call(batch),
            Running::Native(handle) => Ok(handle(batch)),
        }
    }

    /// Bytes of linear memory that it has now.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0 {
            Running::Component(component) => component.store.data().memory(),
            Running::Native(_) => 0,
        }
    }
}

impl Component {
    fn call(&mut self, batch: &Arc<Batch>) -> Result<Answer, Failure> {
        self.store.data_mut().begin(batch);
        self.store.set_epoch_deadline(self.ticks);
        let answer = self
            .bindings
            .call_handle(&mut self.store, bindings::lend(batch));
        let outcomes = match answer {
            Ok(outcomes) => Outcomes::from(outcomes),
            Err(error) => return Err(Failure::of_call(&error, self.store.data())),
        };
        outcomes
            .check(batch.len())
            .map_err(|fault| Failure::of_answer(&fault))?;
        let staged = self.store.data_mut().finish();
        Ok(Answer {
            outcomes,
            stored: staged.stored,
            emitted: staged.emitted,
        })
    }
}
