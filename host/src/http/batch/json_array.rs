//! A JSON array: one text per element. serde_json finds them; since it needs a blocking reader, it runs on a thread of
//! the blocking pool and sends the elements through a bounded channel. When that is full, the thread waits.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufReader, Read},
};

use bytes::Bytes;
use futures_util::{Stream, stream, stream::BoxStream};
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    super::problem::{MALFORMED_JSON, Problem},
    Item,
    body::MAX_EVENTO,
};

/// The capacity of the channel, in elements.
const CHANNEL_CAPACITY: usize = 64;

/// How many bytes are read ahead.
const BUFFER: usize = 64 << 10;

/// Returns the elements of a body that is one array. An element that is much longer than an Evento may be ends the
/// array, since finding its end would mean to keep it in memory.
pub(super) fn items(
    chunks: BoxStream<'static, io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Item>> {
    let (to, mut from) = mpsc::channel(CHANNEL_CAPACITY);
    let reader = SyncIoBridge::new(StreamReader::new(chunks));
    // It ends with the body, or when the receiver is dropped, so it need not be joined.
    tokio::task::spawn_blocking(move || read(reader, &to));
    stream::poll_fn(move |context| from.poll_recv(context))
}

fn read(mut reader: impl Read, to: &mpsc::Sender<io::Result<Item>>) {
    let left = Cell::new(0);
    let elements = Elements { to, left: &left };
    elements.refill();
    let limited = Limited {
        reader: &mut reader,
        left: &left,
    };
    let limited = BufReader::with_capacity(BUFFER, limited);
    let mut json = serde_json::Deserializer::from_reader(limited);
    let done = elements.deserialize(&mut json).and_then(|()| json.end());
    let Err(error) = done else {
        return;
    };
    let item = if left.get() == 0 {
        let detail = format!("an element is longer than {MAX_EVENTO} bytes");
        Ok(broken(&detail))
    } else if error.is_io() {
        Err(io::Error::other(error))
    } else {
        Ok(broken(&error.to_string()))
    };
    // A client that sends everything before it reads anything has to send the rest before it reads the result.
    if to.blocking_send(item).is_ok() {
        let _ = io::copy(&mut reader, &mut io::sink());
    }
}

fn broken(detail: &str) -> Item {
    let detail = format!("malformed array: {detail}; nothing from here on was sent");
    Item::Broken(Problem::new(MALFORMED_JSON, detail))
}

/// Sends each element to the channel as it is found.
#[derive(Clone, Copy)]
struct Elements<'a> {
    to: &'a mpsc::Sender<io::Result<Item>>,
    left: &'a Cell<usize>,
}

impl Elements<'_> {
    /// Allows reading one more element, and what is read ahead of it.
    fn refill(self) {
        self.left.set(MAX_EVENTO + 2 * BUFFER);
    }
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<Box<RawValue>>()? {
            self.refill();
            let text = Bytes::from(Box::<str>::from(element).into_boxed_bytes());
            let item = match text.len() {
                0..=MAX_EVENTO => Item::Text(text),
                _ => Item::TooLong,
            };
            let sent = self.to.blocking_send(Ok(item));
            sent.map_err(|_| A::Error::custom("the receiver is gone"))?;
        }
        Ok(())
    }
}

/// A reader that fails after `left` bytes.
struct Limited<'a, R> {
    reader: R,
    left: &'a Cell<usize>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.left.get());
        if length == 0 {
            return Err(io::Error::other("the element is too long"));
        }
        let read = self.reader.read(&mut buffer[..length])?;
        self.left.set(self.left.get() - read);
        Ok(read)
    }
}
