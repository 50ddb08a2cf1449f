//! The binary format in which instances exchange stored Eventos, named [`MEDIA_TYPE`].
//!
//! The body is a sequence of rows in the requested order. A row has the length of the rest (u32), the order time (i64),
//! the partition (i32), the offset (i64), `n` (u32), and the bytes of the Evento. Numbers are big-endian.

use std::{cmp::Ordering, io};

use bytes::{Buf as _, BufMut as _, Bytes, TryGetError};
use futures_util::{Stream, StreamExt as _};
use tokio_util::{
    codec::{FramedRead, LengthDelimitedCodec},
    io::StreamReader,
};

use crate::{
    event::{Offset, Partition, Timestamp},
    store::{self, Order, Position},
};

/// The media type of rows. A change of the format requires a new name.
pub const MEDIA_TYPE: &str = "application/vnd.eventos.rows-1";

/// Size of the length field.
const LENGTH: isize = 4;

/// Size of the fields between the length and the Evento.
const HEAD: usize = 8 + 4 + 8 + 4;

/// Maximum length of a row that is accepted from a peer.
const MAX_ROW: usize = 64 << 20;

/// A stored Evento of a peer, with its place in the order of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// Order time of the Evento.
    pub time: Timestamp,
    /// Partition that the Evento came from.
    pub partition: Partition,
    /// Position in its partition.
    pub position: Position,
    /// The Evento, byte for byte as it was consumed.
    pub value: Bytes,
}

impl PeerRow {
    /// Appends a stored Evento to `to`, encoded as a row.
    pub fn write(row: &store::Row<'_>, to: &mut Vec<u8>) {
        let position = row.position();
        let length = HEAD + row.value().len();
        to.put_u32(u32::try_from(length).expect("an Evento in the store is smaller than 4 GiB"));
        to.put_i64(row.time().0);
        to.put_i32(row.partition().0);
        to.put_i64(position.offset.0);
        to.put_u32(position.n);
        to.put_slice(row.value());
    }

    /// Compares two rows of different partitions by their place in this order.
    #[must_use]
    pub fn cmp(&self, other: &Self, order: Order) -> Ordering {
        let rank = |row: &Self| (row.time, row.partition);
        match order {
            Order::Asc => rank(self).cmp(&rank(other)),
            Order::Desc => rank(other).cmp(&rank(self)),
        }
    }

    fn read(mut frame: Bytes) -> Result<Self, TryGetError> {
        let _length = frame.try_get_u32()?;
        Ok(Self {
            time: Timestamp(frame.try_get_i64()?),
            partition: Partition(frame.try_get_i32()?),
            position: Position {
                offset: Offset(frame.try_get_i64()?),
                n: frame.try_get_u32()?,
            },
            value: frame,
        })
    }
}

/// Decodes rows. The stream ends with an error where the bytes are cut off or malformed.
pub fn rows<E: Into<io::Error>>(
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = io::Result<PeerRow>> {
    // The length stays part of its frame, so that an end between the two counts as cut off.
    let frames = LengthDelimitedCodec::builder()
        .max_frame_length(MAX_ROW)
        .length_adjustment(LENGTH)
        .num_skip(0)
        .new_codec();
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    FramedRead::new(StreamReader::new(bytes), frames)
        .map(move |frame| PeerRow::read(frame?.freeze()).map_err(invalid))
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{Batch, TopicPartition},
        store::{Filter, Progress, Quota, Scan, Store},
    };

    /// Encodes Eventos at consecutive offsets from `first`.
    fn written(first: i64, values: &[String]) -> Vec<u8> {
        let mut raw = Batch::new(TopicPartition::new("eventos", Partition(3)));
        for (i, value) in (0..).zip(values) {
            let at = Timestamp(1_000 + i);
            raw.push(Offset(first + i), None, Some(value.as_bytes()), [], (at, 0));
        }
        let unreadable = raw.read();
        let batch = raw;
        assert!(unreadable.offsets.is_empty());
        let all: Vec<u32> = (0..).take(values.len()).collect();
        let store = Store::new(&store::Config::default());
        store.append(&[(&batch, &all)]);
        let mut bytes = Vec::new();
        let mut scan = Scan::new(Filter::default(), Order::Asc, None);
        let mut quota = Quota::UNBOUNDED;
        while scan.step(&store, &mut quota, |row| PeerRow::write(&row, &mut bytes))
            == Progress::Paused
        {}
        bytes
    }

    fn read(bytes: &[u8], piece: usize) -> Vec<io::Result<PeerRow>> {
        let pieces = bytes
            .chunks(piece)
            .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)));
        let rows = rows(stream::iter(pieces)).collect().now_or_never();
        rows.expect("no row has to be waited for")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_pieces_of_any_size(
            first in 0..i64::MAX - 100,
            texts in proptest::collection::vec("[^\"\\\\\\x00-\\x1f]{0,40}", 1..9),
            piece in 1..200usize,
        ) {
            let evento = |text: &String| format!("{{\"id\":1.0e0 ,\n\"tipo\":\"t\",\"x\":\"{text}\"}}").replace("1.0e0 ", "7");
            let values: Vec<_> = texts.iter().map(evento).collect();
            let rows = read(&written(first, &values), piece);
            prop_assert_eq!(rows.len(), values.len());
            for ((i, row), value) in (0..).zip(rows).zip(values) {
                let expected = PeerRow {
                    time: Timestamp(1_000 + i),
                    partition: Partition(3),
                    position: Position::before(Offset(first + i)),
                    value: value.into(),
                };
                prop_assert_eq!(row.expect("a row"), expected);
            }
        }

        #[test]
        fn what_is_cut_off_fails_after_its_whole_rows(cut in 1..50usize) {
            let values = [1, 2].map(|i| format!(r#"{{"id":{i},"tipo":"t"}}"#));
            let bytes = written(0, &values);
            let one = bytes.len() / 2;
            let rows = read(&bytes[..bytes.len() - cut.min(one - 1)], 64);
            prop_assert_eq!(rows.len(), 2);
            prop_assert!(rows[0].is_ok() && rows[1].is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes, 64);
        }
    }

    #[test]
    fn a_row_that_is_too_short_or_too_long_is_refused() {
        let short = [0, 0, 0, 2, 1, 1];
        assert!(read(&short, 64)[0].is_err());
        let long = [0xff; 64];
        assert!(read(&long, 64)[0].is_err());
    }
}
