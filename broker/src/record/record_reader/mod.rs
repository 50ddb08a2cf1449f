//! Reads the records of a batch one after the other, without keeping them, and checks their whole structure.
//!
//! The layout of a record is in [`records`](super::records). The rules are those of Kafka's `DefaultRecord` and
//! `DefaultRecordBatch`: numbers of at most 5 or 10 bytes, a body that is exactly as long as its length says, and exactly
//! as many records as the header says. Compressed records are decompressed as they are read, so the memory that this takes
//! depends on the codec and not on their size.

use std::{
    io::{self, BufRead},
    ops::ControlFlow,
};

use crate::record::{
    batch::{HEADER_LEN, RecordBatchHeader},
    compression,
};

/// The largest number of bytes of a 32-bit and of a 64-bit number.
const VARINT_BYTES: usize = 5;
const VARLONG_BYTES: usize = 10;

/// What is known of a record after reading over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordInfo {
    /// The offset, relative to the base offset of the batch.
    pub(crate) offset_delta: i32,
    /// The timestamp, relative to the base timestamp of the batch, in ms.
    pub(crate) timestamp_delta: i64,
    /// Whether the record has a key.
    pub(crate) has_key: bool,
}

impl RecordInfo {
    /// Returns the timestamp (ms) of the record in a batch with this header.
    pub(crate) fn timestamp(&self, header: &RecordBatchHeader) -> i64 {
        match header.is_log_append_time() {
            true => header.max_timestamp,
            false => header.base_timestamp.wrapping_add(self.timestamp_delta),
        }
    }
}

/// The reason why the records of a batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableRecords {
    /// A record is not encoded as the format says.
    #[error("record {index} of the batch {fault}")]
    Record {
        /// The index of the record in the batch.
        index: i32,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// More bytes follow the last record.
    #[error("bytes follow the last record of the batch")]
    TooMany,
    /// The codec of the batch did not write these bytes.
    #[error("cannot decompress the records")]
    Compression(#[source] io::Error),
    /// The records exceed the limit once they are decompressed.
    #[error("the records take more than {max} bytes when they are decompressed")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
}

/// Calls `visit` with each record of `batch`, which starts with `header`, until it breaks.
///
/// Compressed records may take up to `max` bytes when they are decompressed.
///
/// # Errors
///
/// Returns the first fault, after `visit` has seen the records before it.
pub(crate) fn read_all(
    header: &RecordBatchHeader,
    batch: &[u8],
    max: usize,
    visit: impl FnMut(RecordInfo) -> ControlFlow<()>,
) -> Result<(), UnreadableRecords> {
    let records = batch.get(HEADER_LEN..).unwrap_or_default();
    if header.codec() == compression::NONE {
        return read_uncompressed(header.count, records, visit);
    }
    let read = match compression::reader(header.codec(), records, max) {
        Ok(mut reader) => walk(&mut reader, header.count, visit),
        Err(error) => Err((0, Fault::Io(error))),
    };
    read.map_err(|(index, fault)| fault.at(index, max))
}

/// Calls `visit` with each of `count` uncompressed records until it breaks, as [`read_all`] does.
pub(crate) fn read_uncompressed(
    count: i32,
    mut records: &[u8],
    visit: impl FnMut(RecordInfo) -> ControlFlow<()>,
) -> Result<(), UnreadableRecords> {
    let max = records.len();
    walk(&mut records, count, visit).map_err(|(index, fault)| fault.at(index, max))
}

/// What is wrong with the bytes of a record.
#[derive(Debug)]
enum Fault {
    Structure(&'static str),
    /// More bytes follow.
    More,
    Io(io::Error),
}

impl Fault {
    /// Returns the error for a fault in the record with this index, or after the records before it.
    fn at(self, index: i32, max: usize) -> UnreadableRecords {
        match self {
            Fault::Structure(fault) => UnreadableRecords::Record { index, fault },
            Fault::More => UnreadableRecords::TooMany,
            Fault::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                UnreadableRecords::TooLarge { max }
            }
            Fault::Io(error) => UnreadableRecords::Compression(error),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

const ENDS_EARLY: Fault = Fault::Structure("ends within a field");

/// Reads `count` records and checks that nothing follows them; an error comes with the index of its record.
fn walk<R: BufRead>(
    reader: &mut R,
    count: i32,
    mut visit: impl FnMut(RecordInfo) -> ControlFlow<()>,
) -> Result<(), (i32, Fault)> {
    for index in 0..count {
        let record = read_record(reader).map_err(|fault| (index, fault))?;
        if visit(record).is_break() {
            return Ok(());
        }
    }
    match reader.fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err((count, Fault::More)),
        Err(error) => Err((count, Fault::Io(error))),
    }
}

fn read_record<R: BufRead>(reader: &mut R) -> Result<RecordInfo, Fault> {
    let (length, _) = number(reader, VARINT_BYTES)?;
    let left =
        usize::try_from(to_i32(length)).map_err(|_| Fault::Structure("has a negative length"))?;
    let mut body = Body { reader, left };
    body.skip(1)?; // The attributes, which are unused.
    let timestamp_delta = body.varlong()?;
    let offset_delta = body.varint()?;
    let has_key = body.blob()?;
    body.blob()?;
    let headers = body.varint()?;
    if headers < 0 {
        return Err(Fault::Structure("has a negative number of headers"));
    }
    for _ in 0..headers {
        match usize::try_from(body.varint()?) {
            Ok(length) => body.skip(length)?,
            Err(_) => return Err(Fault::Structure("has a header without a name")),
        }
        body.blob()?;
    }
    match body.left {
        0 => Ok(RecordInfo {
            offset_delta,
            timestamp_delta,
            has_key,
        }),
        _ => Err(Fault::Structure("is shorter than its length says")),
    }
}

/// The bytes of a record after its length.
struct Body<'a, R> {
    reader: &'a mut R,
    /// The number of bytes that the record still has, according to its length.
    left: usize,
}

impl<R: BufRead> Body<'_, R> {
    fn varint(&mut self) -> Result<i32, Fault> {
        self.number(VARINT_BYTES).map(to_i32)
    }

    fn varlong(&mut self) -> Result<i64, Fault> {
        let zigzag = self.number(VARLONG_BYTES)?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn number(&mut self, max: usize) -> Result<u64, Fault> {
        let (number, bytes) = number(self.reader, max)?;
        self.take(bytes)?;
        Ok(number)
    }

    /// Skips bytes that follow their length; returns whether they are there, because a negative length is null.
    fn blob(&mut self) -> Result<bool, Fault> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.skip(length).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Fault> {
        self.take(bytes)?;
        let mut left = bytes;
        while left > 0 {
            let step = self.reader.fill_buf()?.len().min(left);
            if step == 0 {
                return Err(ENDS_EARLY);
            }
            self.reader.consume(step);
            left -= step;
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or(ENDS_EARLY)?;
        Ok(())
    }
}

/// Reads a number of at most `max` bytes, which still has the zigzag encoding; returns it with its size in bytes.
fn number<R: BufRead>(reader: &mut R, max: usize) -> Result<(u64, usize), Fault> {
    let buffer = reader.fill_buf()?;
    let mut value = 0;
    for (i, byte) in buffer.iter().take(max).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            reader.consume(i + 1);
            return Ok((value, i + 1));
        }
    }
    match buffer.len() < max {
        true => split_number(reader, max),
        false => Err(Fault::Structure("has a number that is too long")),
    }
}

/// Reads a number that may begin at the end of one buffer and end in the next.
#[cold]
fn split_number<R: BufRead>(reader: &mut R, max: usize) -> Result<(u64, usize), Fault> {
    let mut value = 0;
    for i in 0..max {
        let byte = *reader.fill_buf()?.first().ok_or(ENDS_EARLY)?;
        reader.consume(1);
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, i + 1));
        }
    }
    Err(Fault::Structure("has a number that is too long"))
}

/// Decodes a 32-bit number. As in Kafka, the surplus bits of its fifth byte do not count.
fn to_i32(zigzag: u64) -> i32 {
    let zigzag = zigzag as u32;
    (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)
}

#[cfg(test)]
mod tests;
