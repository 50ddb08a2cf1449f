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

/// The length at which a line is too long whatever is in it, since more of it is not kept in memory. An Evento may have white
/// space around it.
const MAX_LINE: usize = MAX_EVENTO + 2 * BUFFER;

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
        let is_kept = line.len() <= MAX_LINE;
        // Files with a byte order mark may have been joined to one body.
        let text = line.slice_ref(without_byte_order_mark(line.trim_ascii()).trim_ascii());
        if std::mem::take(&mut self.too_long) || !is_kept || text.len() > MAX_EVENTO {
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
        if buffer.len() > MAX_LINE {
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

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    /// Returns the length of each line, or `None` for those that are too long, of a body that arrives in pieces of this length.
    fn lengths(body: &str, piece: usize) -> Vec<Option<usize>> {
        let chunks = body.as_bytes().chunks(piece);
        let chunks: Vec<_> = chunks.map(|it| Ok(Bytes::copy_from_slice(it))).collect();
        let items = items(stream::iter(chunks).boxed()).collect::<Vec<_>>();
        let items = items.now_or_never().expect("all of it is there");
        let length = |item| match item {
            Ok(Item::Text(text)) => Some(text.len()),
            Ok(Item::TooLong) => None,
            broken => unreachable!("{broken:?}"),
        };
        items.into_iter().map(length).collect()
    }

    #[test]
    fn whether_a_line_is_too_long_does_not_depend_on_the_pieces_that_it_arrives_in() {
        let text = |length: usize| "x".repeat(length);
        let space = |length: usize| " ".repeat(length);
        let body = [
            format!("{}{}\r", text(MAX_EVENTO), space(BUFFER)),
            format!("\u{feff}{}", text(MAX_EVENTO)),
            text(MAX_EVENTO + 1),
            format!("{}{}", text(1), space(MAX_LINE)),
            space(MAX_LINE),
            space(MAX_LINE + 1),
            text(2),
        ];
        let expected = [
            Some(MAX_EVENTO),
            Some(MAX_EVENTO),
            None,
            None,
            None,
            Some(2),
        ];
        let body = body.join("\n");
        for piece in [1 << 10, BUFFER, 300_000, body.len()] {
            assert_eq!(lengths(&body, piece), expected, "{piece}");
        }
    }
}
