//! A handler for the host's tests: a component for the standard `wasi:messaging`, which does not know Eventos. The
//! `tipo` in the data of each message says what it does.

// A native linker rejects the name of the export.
#![cfg(target_family = "wasm")]

use std::{fmt::Write as _, hint::black_box};

use bindings::{
    exports::wasi::messaging::incoming_handler::Guest,
    wasi::messaging::{
        producer,
        request_reply::{self, RequestOptions},
        types::{Client, Error, Message},
    },
};

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../host/wit/messaging.wit",
        world: "messaging-request-reply",
        generate_all,
    });
    export!(Component);

    use super::Component;
}

/// The component that exports `wasi:messaging/incoming-handler`.
pub struct Component;

impl Guest for Component {
    fn handle(message: Message) -> Result<(), Error> {
        let data = String::from_utf8_lossy(&message.data()).into_owned();
        let (_, rest) = data.split_once(r#""tipo":""#).unwrap_or_default();
        let (tipo, _) = rest.split_once('"').unwrap_or_default();
        act(tipo, message)
    }
}

fn act(tipo: &str, message: Message) -> Result<(), Error> {
    let client = Client::connect("whatever")?;
    match tipo {
        "seen" => Err(Error::Other(describe(&message))),
        "timeout" => Err(Error::Timeout),
        "connection" => Err(Error::Connection("gone".to_owned())),
        "denied" => Err(Error::PermissionDenied("not you".to_owned())),
        "other" => Err(Error::Other("no good".to_owned())),
        "emit" => producer::send(&client, "alertas", new_message()),
        "forward" => producer::send(&client, "alertas", message),
        "emit-error" => {
            producer::send(&client, "alertas", new_message())?;
            Err(Error::Other("emitted in vain".to_owned()))
        }
        "emit-panic" => {
            producer::send(&client, "alertas", new_message())?;
            panic!("asked to panic")
        }
        "emit-forbidden" => producer::send(&client, "forbidden", new_message()),
        "request" => {
            let options = RequestOptions::new();
            options.set_timeout_ms(1);
            options.set_expected_replies(1);
            request_reply::request(&client, "alertas", &message, Some(options)).map(drop)
        }
        "reply" => request_reply::reply(&message, new_message()),
        "flood" => flood(&client),
        "hoard" => hoard(),
        "spin" => loop {
            black_box(());
        },
        _ => client.disconnect(),
    }
}

/// Returns the topic, content type and metadata of a message.
fn describe(message: &Message) -> String {
    let mut text = format!("{:?} {:?}", message.topic(), message.content_type());
    for (key, value) in message.metadata().unwrap_or_default() {
        let _ = write!(text, " {key}={value}");
    }
    text
}

/// Creates a message with every function that modifies one.
fn new_message() -> Message {
    let message = Message::new(b"first");
    assert_eq!((message.topic(), message.metadata()), (None, None));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    message.set_metadata(&[
        pair("a", "1"),
        pair("b", "1"),
        pair("a", "2"),
        pair("gone", ""),
    ]);
    message.add_metadata("a", "3");
    message.remove_metadata("gone");
    message.set_content_type("text/plain");
    message.set_data(b"made here");
    message
}

/// Sends messages without end.
fn flood(client: &Client) -> Result<(), Error> {
    let data = vec![0; 1 << 16];
    loop {
        producer::send(client, "alertas", Message::new(&data))?;
    }
}

/// Creates messages without end and keeps them all. The guest's own memory stays small.
fn hoard() -> ! {
    let data = vec![0; 1 << 20];
    loop {
        std::mem::forget(Message::new(&data));
    }
}
