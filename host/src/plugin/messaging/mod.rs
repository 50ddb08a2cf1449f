//! The adapter for components that export the standard `wasi:messaging/incoming-handler`: they get one message per
//! Evento, and the messages that they send are emitted. The contract is `host/wit/messaging.wit`. To the rest of the
//! host a batch is still one call: all of its effects count, or none.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated in part; the WIT file carries the documentation"
)]

mod message;

use wasmtime::{
    Result, Store,
    component::{HasSelf, Linker, Resource},
};

use self::wasi::messaging::{
    producer, request_reply,
    types::{self, Error, Metadata, Topic},
};
use super::host::Host;
use crate::event::{Batch, Emission, Outcome, Outcomes};

pub use message::Message;

pub(super) use message::GuestResources;

wasmtime::component::bindgen!({
    path: "wit/messaging.wit",
    imports: { default: trappable },
    with: {
        "wasi:messaging/types.client": Client,
        "wasi:messaging/types.message": Message,
        "wasi:messaging/request-reply.request-options": Options,
    },
});

/// The export that marks a component as a handler of messages.
pub(super) const EXPORT: &str = "wasi:messaging/incoming-handler@0.2.0-draft";

/// Name of the world, for error messages.
pub(super) const WORLD: &str = "wasi:messaging/messaging-request-reply@0.2.0-draft (see host/wit/)";

/// The interfaces that such a component may import.
pub(super) const IMPORTS: [&str; 3] = [
    "wasi:messaging/types@0.2.0-draft",
    "wasi:messaging/producer@0.2.0-draft",
    "wasi:messaging/request-reply@0.2.0-draft",
];

pub struct Client;

pub struct Options;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> Result<()> {
    MessagingRequestReply::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)
}

impl MessagingRequestReply {
    /// Calls the guest once per Evento, in order. Tombstones pass, because a message always has data.
    pub(super) fn handle(&self, store: &mut Store<Host>, batch: &Batch) -> Result<Outcomes> {
        let mut outcomes = Outcomes::default();
        for i in 0..batch.len() {
            let Some(message) = Message::from_record(batch, i) else {
                outcomes.kinds.push(Outcome::Pass as u8);
                continue;
            };
            let message = store.data_mut().receive(i, message)?;
            let handler = self.wasi_messaging_incoming_handler();
            let outcome = match handler.call_handle(&mut *store, message)? {
                Ok(()) => Outcome::Pass,
                Err(error) => {
                    let (outcome, reason) = verdict(error);
                    // Counted like staged effects: each call may return as much as the guest's memory holds.
                    store.data_mut().stage(reason.len())?;
                    outcomes.reasons.push(&reason);
                    outcome
                }
            };
            outcomes.kinds.push(outcome as u8);
        }
        Ok(outcomes)
    }
}

/// Errors that may be gone at the next attempt become retries.
fn verdict(error: Error) -> (Outcome, String) {
    match error {
        Error::Timeout => (Outcome::Retry, "timeout".to_owned()),
        Error::Connection(reason) => (Outcome::Retry, format!("connection: {reason}")),
        Error::PermissionDenied(reason) => {
            (Outcome::Reject, format!("permission denied: {reason}"))
        }
        Error::Other(reason) => (Outcome::Reject, reason),
    }
}

impl Host {
    fn receive(&mut self, i: usize, message: Message) -> Result<Resource<Message>> {
        self.take_in_hand(i);
        self.hold(|held| held.push_message(message))
    }

    fn send(&mut self, topic: Topic, message: Message) -> Result<Result<(), Error>> {
        if let Err(refusal) = self.permit(&topic) {
            return Ok(Err(Error::PermissionDenied(refusal)));
        }
        let batch = self.batch()?;
        // A message has no key. The key of its source record keeps related records in one partition.
        let records = message.into_records(batch.record(self.in_hand()).key);
        let source = u32::try_from(self.in_hand())?;
        self.emit(Emission {
            topic,
            sources: vec![source],
            records,
        })?;
        Ok(Ok(()))
    }
}

impl types::Host for Host {}

impl types::HostClient for Host {
    fn connect(&mut self, _: String) -> Result<Result<Resource<Client>, Error>> {
        self.hold(|held| held.push(Client)).map(Ok)
    }

    fn disconnect(&mut self, _: Resource<Client>) -> Result<Result<(), Error>> {
        Ok(Ok(()))
    }

    fn drop(&mut self, client: Resource<Client>) -> Result<()> {
        self.held.delete(client)
    }
}

impl types::HostMessage for Host {
    fn new(&mut self, data: Vec<u8>) -> Result<Resource<Message>> {
        let message = Message {
            data,
            ..Message::default()
        };
        self.hold(|held| held.push_message(message))
    }

    fn topic(&mut self, message: Resource<Message>) -> Result<Option<Topic>> {
        Ok(self.held.message(&message)?.topic.clone())
    }

    fn content_type(&mut self, message: Resource<Message>) -> Result<Option<String>> {
        Ok(self.held.message(&message)?.content_type.clone())
    }

    fn set_content_type(&mut self, message: Resource<Message>, content_type: String) -> Result<()> {
        self.hold(|held| held.change(&message, |it| it.content_type = Some(content_type)))
    }

    fn data(&mut self, message: Resource<Message>) -> Result<Vec<u8>> {
        Ok(self.held.message(&message)?.data.clone())
    }

    fn set_data(&mut self, message: Resource<Message>, data: Vec<u8>) -> Result<()> {
        self.hold(|held| held.change(&message, |it| it.data = data))
    }

    fn metadata(&mut self, message: Resource<Message>) -> Result<Option<Metadata>> {
        let metadata = &self.held.message(&message)?.metadata;
        Ok((!metadata.is_empty()).then(|| metadata.clone()))
    }

    fn add_metadata(
        &mut self,
        message: Resource<Message>,
        key: String,
        value: String,
    ) -> Result<()> {
        self.hold(|held| {
            held.change(&message, |it| {
                it.metadata.retain(|(name, _)| *name != key);
                it.metadata.push((key, value));
            })
        })
    }

    fn set_metadata(&mut self, message: Resource<Message>, metadata: Metadata) -> Result<()> {
        self.hold(|held| held.change(&message, |it| it.metadata = metadata))
    }

    fn remove_metadata(&mut self, message: Resource<Message>, key: String) -> Result<()> {
        self.held
            .change(&message, |it| it.metadata.retain(|(name, _)| *name != key))
    }

    fn drop(&mut self, message: Resource<Message>) -> Result<()> {
        self.held.take_message(message).map(drop)
    }
}

impl producer::Host for Host {
    fn send(
        &mut self,
        _: Resource<Client>,
        topic: Topic,
        message: Resource<Message>,
    ) -> Result<Result<(), Error>> {
        let message = self.held.take_message(message)?;
        Host::send(self, topic, message)
    }
}

impl request_reply::Host for Host {
    fn request(
        &mut self,
        _: Resource<Client>,
        _: Topic,
        _: Resource<Message>,
        options: Option<Resource<Options>>,
    ) -> Result<Result<Vec<Resource<Message>>, Error>> {
        options.map(|it| self.held.delete(it)).transpose()?;
        let refusal = "a handler cannot wait for replies; use producer.send".to_owned();
        Ok(Err(Error::Other(refusal)))
    }

    fn reply(
        &mut self,
        _: Resource<Message>,
        reply: Resource<Message>,
    ) -> Result<Result<(), Error>> {
        self.held.take_message(reply)?;
        let refusal = "an Evento names no topic for replies; use producer.send".to_owned();
        Ok(Err(Error::Other(refusal)))
    }
}

impl request_reply::HostRequestOptions for Host {
    fn new(&mut self) -> Result<Resource<Options>> {
        self.hold(|held| held.push(Options))
    }

    fn set_timeout_ms(&mut self, _: Resource<Options>, _: u32) -> Result<()> {
        Ok(())
    }

    fn set_expected_replies(&mut self, _: Resource<Options>, _: u32) -> Result<()> {
        Ok(())
    }

    fn drop(&mut self, options: Resource<Options>) -> Result<()> {
        self.held.delete(options)
    }
}
