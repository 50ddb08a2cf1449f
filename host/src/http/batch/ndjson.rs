//! NDJSON: one text per line. Blank lines are skipped, and so is the rest of a line that is too long.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use tokio_util::{
    codec::{Decoder, FramedRead},
    io::StreamReader,
};

use super::{Item, body::MAX_EVENTO};
use crate::event::without_byte_order_mark;

/// How many bytes are read at a time.
const BUFFER: usize = 64 << 10;

/// Returns the lines of a body.
pub(super) fn items(
    chunks: BoxStream<'static, io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Item>> {
    let lines = Lines::default();
    FramedRead::with_capacity(StreamReader::new(chunks), lines, BUFFER).boxed()
}

#[derive(Default)]
struct Lines {
    /// The length of the start of the buffer that is known to have no line feed.
    searched: usize,
    /// Whether the buffer continues a line that is too long.
    too_long: bool,
}

impl Lines {
    /// Returns the item of a whole line, unless it is blank.
    fn line(&mut self, line: BytesMut) -> Option<Item> {
        let line = line.freeze();
        // Files with a byte order mark may have been joined to one body.
        let text = line.slice_ref(without_byte_order_mark(line.trim_ascii()).trim_ascii());
        if std::mem::take(&mut self.too_long) || text.len() > MAX_EVENTO {
            return Some(Item::TooLong);
        }
        (!text.is_empty()).then_some(Item::Text(text))
    }
}

impl Decoder for Lines {
    type Item = Item;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Item>> {
        while let Some(found) = memchr::memchr(b'\n', &buffer[self.searched..]) {
            let mut line = buffer.split_to(self.searched + found + 1);
            line.truncate(line.len() - 1);
            self.searched = 0;
            if let Some(item) = self.line(line) {
                return Ok(Some(item));
            }
        }
        self.searched = buffer.len();
        // A carriage return at the end of the line is not part of the Evento, hence one byte more.
        if buffer.len() > MAX_EVENTO + 1 {
            self.too_long = true;
            buffer.advance(buffer.len());
            self.searched = 0;
        }
        Ok(None)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Item>> {
        if let Some(item) = self.decode(buffer)? {
            return Ok(Some(item));
        }
        self.searched = 0;
        Ok(self.line(buffer.split()))
    }
}
