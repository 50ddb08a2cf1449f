//! Stored Eventos between two instances: what [`MEDIA_TYPE`] means.
//!
//! A row for each, in the order that was asked for, all numbers big-endian: the length of what follows (u32), order
//! time (i64), partition (i32), offset (i64), `n` (u32), and the Evento to the letter.

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

/// The media type of rows. A change of the format gives it another name.
pub const MEDIA_TYPE: &str = "application/vnd.eventos.rows-1";

/// Bytes of the length.
const LENGTH: isize = 4;

/// Bytes before the Evento, the length not counted.
const HEAD: usize = 8 + 4 + 8 + 4;

/// The longest row that is taken from another.
const LONGEST: usize = 64 << 20;

/// A stored Evento and its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its order time.
    pub time: Timestamp,
    /// Where it came from.
    pub partition: Partition,
    /// Where it is in its partition.
    pub position: Position,
    /// The Evento, as it came.
    pub value: Bytes,
}

impl Row {
    /// Appends a stored Evento as a row.
    pub fn write(row: &store::Row<'_>, to: &mut Vec<u8>) {
        let position = row.position();
        let length = HEAD + row.value().len();
        to.put_u32(u32::try_from(length).expect("a segment of the store is smaller than 4 GiB"));
        to.put_i64(row.time().0);
        to.put_i32(row.partition().0);
        to.put_i64(position.offset.0);
        to.put_u32(position.n);
        to.put_slice(row.value());
    }

    /// Which of two rows of different partitions comes first when they are read in this order.
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

/// Reads rows. The stream fails, and is over, where they are cut off or are no rows.
pub fn rows<E: Into<io::Error>>(
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = io::Result<Row>> {
    // The length stays with its frame, so that an end between the two is none in order.
    let frames = LengthDelimitedCodec::builder()
        .max_frame_length(LONGEST)
        .length_adjustment(LENGTH)
        .num_skip(0)
        .new_codec();
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    FramedRead::new(StreamReader::new(bytes), frames)
        .map(move |frame| Row::read(frame?.freeze()).map_err(invalid))
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::RawBatch,
        store::{Filter, Progress, Quota, Scan, Store},
    };

    /// Rows of Eventos that lie from this offset on.
    fn written(first: i64, values: &[String]) -> Vec<u8> {
        let mut raw = RawBatch::new("eventos".into(), Partition(3));
        for (i, value) in (0..).zip(values) {
            let at = Timestamp(1_000 + i);
            raw.push(Offset(first + i), None, Some(value.as_bytes()), [], at, 0);
        }
        let (batch, unreadable) = raw.read();
        assert!(unreadable.offsets.is_empty());
        let all: Vec<u32> = (0..).take(values.len()).collect();
        let store = Store::new(&store::Config::default());
        store.append(&[(&batch, &all)]);
        let mut bytes = Vec::new();
        let mut scan = Scan::new(Filter::default(), Order::Asc, None);
        let mut quota = Quota::UNBOUNDED;
        while scan.step(&store, &mut quota, |row| Row::write(&row, &mut bytes)) == Progress::Paused
        {
        }
        bytes
    }

    fn read(bytes: &[u8], piece: usize) -> Vec<io::Result<Row>> {
        let pieces = bytes
            .chunks(piece)
            .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)));
        let rows = rows(stream::iter(pieces)).collect().now_or_never();
        rows.expect("nothing is waited for")
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
                let expected = Row {
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
