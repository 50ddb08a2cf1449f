//! Any bytes as rows of another instance.

#[path = "../../src/peers/row.rs"]
mod row;

use std::io;

use bytes::{BufMut as _, Bytes};
use futures_util::{FutureExt as _, StreamExt as _, stream};

use row::PeerRow;

/// Reads any bytes as the rows of a peer. What is accepted are those bytes, in whatever pieces they arrive.
///
/// # Panics
/// Panics if they are not.
pub fn rows(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    let pieces = read(bytes, usize::from(*piece).max(1));
    assert_eq!(whole, pieces);
    let (rows, is_whole) = whole;
    let mut again = Vec::new();
    for row in rows {
        again.put_u32(24 + row.value.len() as u32);
        again.put_i64(row.time.0);
        again.put_i32(row.partition.0);
        again.put_i64(row.position.offset.0);
        again.put_u32(row.position.n);
        again.put_slice(&row.value);
    }
    assert!(bytes.starts_with(&again));
    assert_eq!(is_whole, bytes.len() == again.len());
}

/// Returns the rows, and whether nothing but rows was read.
fn read(bytes: &[u8], piece: usize) -> (Vec<PeerRow>, bool) {
    let pieces = bytes
        .chunks(piece)
        .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)));
    let mut rows = std::pin::pin!(row::rows(stream::iter(pieces)));
    let mut found = Vec::new();
    loop {
        let row = rows.next().now_or_never().expect("all of it is there");
        match row {
            Some(Ok(row)) => found.push(row),
            Some(Err(_)) => return (found, false),
            None => return (found, true),
        }
    }
}
