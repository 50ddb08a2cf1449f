//! The two worlds that a component may implement: our own, and that of `wasi:messaging`.

use wasmtime::{
    Result, Store,
    component::{Component, Linker},
};

use super::{
    LoadFault,
    bindings::{self, Handler, HandlerPre},
    host::Host,
    messaging::{self, MessagingRequestReply, MessagingRequestReplyPre},
};
use crate::event::{Batch, Outcomes};

/// Name of our own world, for error messages.
pub(super) const WORLD: &str = "eventos:handler/handler@1.0.0 (see wit/)";

/// A linked component of either world.
pub(super) enum Pre {
    Handler(HandlerPre<Host>),
    Messaging(MessagingRequestReplyPre<Host>),
}

/// The exports of an instance.
pub(super) enum Exports {
    Handler(Handler),
    Messaging(MessagingRequestReply),
}

impl Pre {
    /// Links a component as the world that its exports identify.
    ///
    /// # Errors
    /// Returns [`LoadFault::World`] if the component does not fit that world.
    pub(super) fn link(linker: &Linker<Host>, component: &Component) -> Result<Self, LoadFault> {
        let is_messaging = component
            .get_export_index(None, messaging::EXPORT)
            .is_some();
        let (world, linked) = if is_messaging {
            let pre = linker.instantiate_pre(component);
            let pre = pre.and_then(MessagingRequestReplyPre::new);
            (messaging::WORLD, pre.map(Self::Messaging))
        } else {
            let pre = linker.instantiate_pre(component);
            (WORLD, pre.and_then(HandlerPre::new).map(Self::Handler))
        };
        linked.map_err(|reason| LoadFault::World { world, reason })
    }

    pub(super) fn engine(&self) -> &wasmtime::Engine {
        match self {
            Self::Handler(pre) => pre.engine(),
            Self::Messaging(pre) => pre.engine(),
        }
    }

    /// Creates an instance and calls its `init`, if its world has one. The inner error is what `init` returned.
    pub(super) fn start(&self, store: &mut Store<Host>) -> Result<Result<Exports, String>> {
        match self {
            Self::Handler(pre) => {
                let handler = pre.instantiate(&mut *store)?;
                let answer = handler.call_init(store)?;
                Ok(answer.map(|()| Exports::Handler(handler)))
            }
            Self::Messaging(pre) => {
                let messaging = pre.instantiate(store)?;
                Ok(Ok(Exports::Messaging(messaging)))
            }
        }
    }
}

impl Exports {
    /// Passes a batch to the handler and returns its outcomes, which are not checked yet.
    pub(super) fn handle(&self, store: &mut Store<Host>, batch: &Batch) -> Result<Outcomes> {
        match self {
            Self::Handler(handler) => {
                let outcomes = handler.call_handle(store, bindings::lend(batch))?;
                Ok(outcomes.into())
            }
            Self::Messaging(messaging) => messaging.handle(store, batch),
        }
    }
}
