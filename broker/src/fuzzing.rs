//! What the targets of `broker/fuzz` drive, and for a moment every test run too: any bytes as a request, any bytes as
//! what a partition's folder holds.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind};
use kafka_protocol::protocol::Decodable;

use crate::Error;
use crate::protocol::{error_response, length_check};
use crate::record::batch::{self, HEADER_LEN, Header, LENGTH_PREFIX, MAGIC};
use crate::protocol::dispatch::{Call, SUPPORTED};
use crate::ids::Offset;
use crate::log::{Partition, Settings};
use crate::storage::Trust;

/// Reads a frame as `dispatch` does, and makes the answer of what cannot be read.
///
/// # Panics
///
/// Where `dispatch` judges a header otherwise than the protocol crate.
pub fn request(frame: &[u8]) {
    let frame = Bytes::copy_from_slice(frame);
    let call = Call::parse(frame.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let Some((api, version)) = supported(&frame) else {
        return;
    };
    let mut body = frame;
    let header = RequestHeader::decode(&mut body, api.request_header_version(version));
    assert_eq!(call.is_ok(), header.is_ok(), "{api:?} v{version}");
    if header.is_err() {
        return;
    }
    if length_check::check(api, version, &body).is_ok()
        && RequestKind::decode(api, &mut body.clone(), version).is_ok()
    {
        return;
    }
    // What has no form of its own goes out as a bare error code.
    if let Some(refusal) = error_response::refuse(api, version, &body, ResponseError::InvalidRequest) {
        let _ = refusal.encode(&mut BytesMut::new(), version);
    }
}

fn supported(frame: &[u8]) -> Option<(ApiKey, i16)> {
    let &[key, key_low, version, version_low, ..] = frame else {
        return None;
    };
    let api = ApiKey::try_from(i16::from_be_bytes([key, key_low])).ok()?;
    let version = i16::from_be_bytes([version, version_low]);
    let covers =
        |entry: &&(ApiKey, i16, i16)| entry.0 == api && (entry.1..=entry.2).contains(&version);
    SUPPORTED.iter().find(covers).map(|_| (api, version))
}

/// Opens `folder`, which must be empty, with what `recipe` puts there as segments; then reads, appends, and opens it
/// again: as it was left, as after a power cut, and with a damaged index and checkpoint.
///
/// # Panics
///
/// Where the log is opened and does not hold what it says, or is refused other than as damaged.
pub fn recovery(folder: &Path, recipe: &[u8]) {
    let Some((first, recipe)) = recipe.split_first() else {
        return;
    };
    write_segments(folder, recipe);
    let trust = match first % 2 {
        0 => Trust::All,
        _ => Trust::Checksums,
    };
    let partition = match open(folder, trust) {
        Ok(partition) => partition,
        Err(Error::Damaged { .. }) => return,
        Err(error) => panic!("{error:?}"),
    };
    let bounds = partition.bounds();
    assert!(bounds.start <= bounds.stable && bounds.stable <= bounds.end);
    read_all(&partition);
    for timestamp in [i64::MIN, 0, i64::MAX] {
        partition.find_by_time(timestamp).expect("it can be read");
    }
    partition.find_newest().expect("it can be read");

    append(&partition, 4);
    let bounds = partition.bounds();
    partition.close().expect("the disk takes it");
    drop(partition);
    let reopen = |trust| {
        let again = open(folder, trust).expect("what was opened once is whole");
        assert_eq!(again.bounds(), bounds);
        read_all(&again);
    };
    reopen(Trust::All);
    reopen(Trust::Checksums);
    damage_helpers(folder, usize::from(*first));
    reopen(Trust::All);
}

/// The one place that knows how a partition is opened. Its segments are short, so that a few batches fill some.
fn open(folder: &Path, trust: Trust) -> Result<Partition, Error> {
    let settings = Settings {
        segment_bytes: 2 * HEADER_LEN as u64,
        ..Settings::default()
    };
    Partition::open(folder, settings, trust)
}

fn append(partition: &Partition, batches: usize) {
    let mut batch = [0; HEADER_LEN];
    // Of no producer that the log could remember.
    batch[43..51].fill(0xff);
    let batch = sealed(&batch);
    let header = batch::verify(&batch).expect("a whole batch");
    for _ in 0..batches {
        let end = partition.bounds().end;
        let stored = partition.append(&header, &batch).expect("there is room");
        assert_eq!(stored.base_offset, end);
    }
}

/// Changes a byte of every file that the log could do without.
fn damage_helpers(folder: &Path, at: usize) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            continue;
        }
        let mut bytes = fs::read(&path).expect("it can be read");
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x10;
        }
        fs::write(&path, bytes).expect("the disk takes it");
    }
}

/// Walks from one batch to the next; each holds the offset that was asked for, or a later one.
fn read_all(partition: &Partition) {
    let bounds = partition.bounds();
    let mut next = bounds.start;
    while next < bounds.end {
        let (bytes, _) = partition.read(next, 1, true).expect("it can be read");
        if bytes.is_empty() {
            // The last segment is empty, and begins behind a gap.
            return;
        }
        // Of earlier segments nobody has checked the CRCs; the reader does.
        let header = Header::parse(&bytes).expect("a batch");
        assert_eq!(header.size, bytes.len(), "{header:?}");
        assert!(header.last_offset() >= next, "{header:?} at {next}");
        next = header.next_offset();
    }
    assert_eq!(next, bounds.end);
}

/// Files from a recipe. A step is a kind, a length and as many bytes.
///
/// Arbitrary bytes alone would hardly get past a CRC, so one kind makes a batch of its bytes that has one.
fn write_segments(folder: &Path, recipe: &[u8]) {
    let mut rest = recipe;
    let mut file = begin(folder, Offset(0));
    while let [kind, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let written = match kind % 4 {
            0 => file.write_all(bytes),
            1 => {
                let mut base = [0; 8];
                let length = bytes.len().min(8);
                base[8 - length..].copy_from_slice(&bytes[..length]);
                // Nobody names a file by an offset below 0, or by one that no log reaches.
                base[0] &= 0x3f;
                file = begin(folder, Offset(i64::from_be_bytes(base)));
                Ok(())
            }
            _ => file.write_all(&sealed(bytes)),
        };
        written.expect("the disk takes it");
    }
}

fn begin(folder: &Path, base: Offset) -> File {
    let name = format!("{:020}.log", base.0);
    fs::create_dir_all(folder)
        .and_then(|()| File::create(folder.join(name)))
        .expect("the disk takes it")
}

/// The bytes as a batch: at least a header, with the length, the format and the CRC that it needs.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut batch = bytes.to_vec();
    batch.resize(batch.len().max(HEADER_LEN), 0);
    let length = (batch.len() - LENGTH_PREFIX) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = MAGIC as u8;
    batch::seal(&mut batch);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::length_check::tests::sample;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A request that is supported, with some bytes replaced.
    fn damaged_request() -> impl Strategy<Value = Vec<u8>> {
        let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        (any::<prop::sample::Index>(), any::<u8>(), 0..3u8, changes).prop_map(
            |(which, version, each, changes)| {
                let (api, first, last) = SUPPORTED[which.index(SUPPORTED.len())];
                let version = first + i16::from(version) % (last - first + 1);
                let mut frame = [api as i16, version].map(i16::to_be_bytes).concat();
                frame.extend([0, 0, 0, 1, 0xff, 0xff]);
                if api.request_header_version(version) >= 2 {
                    frame.push(0);
                }
                frame.extend(sample(api, version, each));
                for (at, byte) in changes {
                    let at = 4 + at.index(frame.len() - 4);
                    frame[at] = byte;
                }
                frame
            },
        )
    }

    /// Steps of a recipe, mostly of the length of a small batch.
    fn recipe() -> impl Strategy<Value = Vec<u8>> {
        let header = batch::tests::sample(&batch::tests::Sample::default());
        let batch = vec((0..header.len(), any::<u8>()), 0..4).prop_map(move |changes| {
            let mut batch = header.clone();
            for (at, byte) in changes {
                batch[at] = byte;
            }
            batch
        });
        let step = (0..4u8, prop_oneof![batch, vec(any::<u8>(), 0..100)]);
        (any::<u8>(), vec(step, 0..8)).prop_map(|(first, steps)| {
            let bytes =
                |(kind, bytes): (u8, Vec<u8>)| [&[kind, bytes.len() as u8], &*bytes].concat();
            [first]
                .into_iter()
                .chain(steps.into_iter().flat_map(bytes))
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn any_bytes_are_a_request_or_are_refused(frame in vec(any::<u8>(), 0..200)) {
            request(&frame);
        }

        #[test]
        fn a_damaged_request_is_one_or_is_refused(frame in damaged_request()) {
            request(&frame);
        }
    }

    proptest! {
        // Each syncs some files.
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn whatever_lies_in_a_folder_is_read_cut_or_refused(recipe in recipe()) {
            let dir = tempfile::tempdir().unwrap();
            recovery(dir.path(), &recipe);
        }
    }
}
