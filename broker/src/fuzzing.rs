//! The entry points of the fuzz targets in `broker/fuzz`: any bytes as a request, as a produced batch, and as the files of a
//! partition. The unit tests run each of them for a moment, too.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    error::ResponseError,
    messages::{ApiKey, RequestHeader, RequestKind},
    protocol::Decodable,
};

use crate::{
    Error,
    api::produce,
    ids::Offset,
    log::{self, LogConfig, PartitionLog},
    protocol::{apis::Api, dispatch::RequestFrame, error_response, length_check},
    record::{
        batch::{self, HEADER_LEN, LENGTH_PREFIX, MAGIC, RecordBatchHeader},
        compression, records,
    },
    storage::Trust,
};

/// Decodes a frame as `dispatch` does, and encodes the error response of a frame that cannot be decoded.
///
/// # Panics
///
/// Panics if `dispatch` and the protocol crate disagree about a header.
pub fn request(frame: &[u8]) {
    let frame = Bytes::copy_from_slice(frame);
    let parsed = RequestFrame::parse(frame.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let Some((api, version)) = supported_api(&frame) else {
        return;
    };
    let mut body = frame;
    let header = RequestHeader::decode(&mut body, api.key.request_header_version(version));
    assert_eq!(parsed.is_ok(), header.is_ok(), "{:?} v{version}", api.key);
    if header.is_err() {
        return;
    }
    if length_check::check(api, version, &body).is_ok()
        && RequestKind::decode(api.key, &mut body.clone(), version).is_ok()
    {
        return;
    }
    // Without a response of its own, the API gets a bare error code.
    let error = ResponseError::InvalidRequest;
    if let Some(response) = error_response::build(api.key, version, &body, error) {
        let _ = response.encode(&mut BytesMut::new(), version);
    }
}

/// Returns the API and the version that a frame asks for, if the broker supports them.
fn supported_api(frame: &[u8]) -> Option<(&'static Api, i16)> {
    let &[key, key_low, version, version_low, ..] = frame else {
        return None;
    };
    let key = ApiKey::try_from(i16::from_be_bytes([key, key_low])).ok()?;
    let version = i16::from_be_bytes([version, version_low]);
    let api = Api::find(key).filter(|api| api.supports(version))?;
    Some((api, version))
}

/// Checks a batch that is made from `recipe` as producing does, and reads the records of one that is accepted.
///
/// The first byte of the recipe chooses the codec, and whether the rest is compressed with it or stands for compressed
/// records. The fields of the header follow; length, format and checksum become right.
///
/// # Panics
///
/// Panics if a batch is accepted whose records are not those that its header promises.
pub fn batch(recipe: &[u8]) {
    const MAX_BATCH: usize = 1 << 16;
    let Some((first, rest)) = recipe.split_first() else {
        return;
    };
    let codec = i16::from(first & 7);
    let (header, records) = rest.split_at(rest.len().min(HEADER_LEN));
    let compressed = match first & 8 {
        0 => compression::compress(codec, records).unwrap_or_default(),
        _ => records.to_vec(),
    };
    let mut batch = header.to_vec();
    batch.resize(HEADER_LEN, 0);
    batch.extend(compressed);
    batch[..8].fill(0);
    batch[22] = batch[22] & !7 | first & 7;
    let batch = valid_batch(&batch);
    let config = LogConfig {
        compact: first & 16 != 0,
        timestamp_before_max_ms: 1 << 40,
        max_batch_bytes: MAX_BATCH,
        ..LogConfig::default()
    };
    let Ok(header) = produce::check(&batch, i16::MAX) else {
        return;
    };
    let Ok(newest) = log::check_records(&config, &header, &batch, 0) else {
        return;
    };
    let bytes = records::decompress(&header, &batch).expect("the check has read them");
    assert!(header.codec() == 0 || bytes.len() <= 100 * MAX_BATCH);
    let all: Vec<_> = records::iter(&bytes).collect();
    let offsets = all.iter().map(|record| record.offset_delta);
    assert!(offsets.eq(0..i64::from(header.count)), "{header:?}");
    assert!(!config.compact || all.iter().all(|record| record.key.is_some()));
    let time = |record: &records::Record<'_>| match header.is_log_append_time() {
        true => header.max_timestamp,
        false => header.base_timestamp.wrapping_add(record.timestamp_delta),
    };
    assert_eq!(all.iter().map(time).max().map(|t| t.max(-1)), Some(newest));
}

/// Decompresses bytes with the codec that the first of them chooses. A second bit of it folds the rest first, so that what
/// unfolds is reached, too.
///
/// # Panics
///
/// Panics if what was folded does not unfold to the same.
pub fn decompress(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let codec = i16::from(first & 7);
    if first & 8 == 0 {
        let _ = compression::decompress(codec, rest);
    } else if let Ok(folded) = compression::compress(codec, rest) {
        let unfolded = compression::decompress(codec, &folded).expect("it was folded here");
        assert_eq!(&*unfolded, rest);
    }
}

/// Opens a log in `folder`, which must be empty, on segments made from `recipe`; then reads it, appends to it, and opens
/// it again: as it was left, as after a power cut, and with a damaged index and checkpoint.
///
/// # Panics
///
/// Panics if the log opens but its content is inconsistent, or if it is refused for another reason than damage.
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

/// Opens the log with segments so short that a few batches fill several.
fn open(folder: &Path, trust: Trust) -> Result<PartitionLog, Error> {
    let settings = LogConfig {
        segment_bytes: 2 * HEADER_LEN as u64,
        ..LogConfig::default()
    };
    PartitionLog::open(folder, settings, trust)
}

fn append(partition: &PartitionLog, batches: usize) {
    let mut batch = [0; HEADER_LEN];
    // Producer id -1: the log keeps no state of this producer.
    batch[43..51].fill(0xff);
    let batch = valid_batch(&batch);
    let header = batch::verify(&batch).expect("a whole batch");
    for _ in 0..batches {
        let end = partition.bounds().end;
        let stored = partition.append(&header, &batch).expect("there is room");
        assert_eq!(stored.base_offset, end);
    }
}

/// Changes a byte in every file that the log can do without.
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

/// Reads batch by batch, and checks that each holds the requested offset or a later one.
fn read_all(partition: &PartitionLog) {
    let bounds = partition.bounds();
    let mut next = bounds.start;
    while next < bounds.end {
        let (bytes, _) = partition.read(next, 1, true).expect("it can be read");
        if bytes.is_empty() {
            // The last segment is empty and begins after a gap.
            return;
        }
        // Only the header is checked: recovery does not check the CRCs of earlier segments.
        let header = RecordBatchHeader::parse(&bytes).expect("a batch");
        assert_eq!(header.size, bytes.len(), "{header:?}");
        assert!(header.last_offset() >= next, "{header:?} at {next}");
        next = header.next_offset();
    }
    assert_eq!(next, bounds.end);
}

/// Writes segment files from a recipe. Each step of it is a kind, a length and that number of bytes.
///
/// Arbitrary bytes alone would hardly ever have a valid CRC, so one kind of step turns its bytes into a batch with one.
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
                // Keeps the offset in the range that file names have.
                base[0] &= 0x3f;
                file = begin(folder, Offset(i64::from_be_bytes(base)));
                Ok(())
            }
            _ => file.write_all(&valid_batch(bytes)),
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

/// Turns bytes into a batch with a valid length, format and CRC.
fn valid_batch(bytes: &[u8]) -> Vec<u8> {
    let mut batch = bytes.to_vec();
    batch.resize(batch.len().max(HEADER_LEN), 0);
    let length = (batch.len() - LENGTH_PREFIX) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = MAGIC as u8;
    batch::write_crc(&mut batch);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{apis::APIS, length_check::tests::sample};
    use proptest::{collection::vec, prelude::*};

    /// Generates supported requests with some bytes replaced.
    fn damaged_request() -> impl Strategy<Value = Vec<u8>> {
        let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        (any::<prop::sample::Index>(), any::<u8>(), 0..3u8, changes).prop_map(
            |(which, version, each, changes)| {
                let api = &APIS[which.index(APIS.len())];
                let (first, last) = api.versions;
                let version = first + i16::from(version) % (last - first + 1);
                let mut frame = [api.key as i16, version].map(i16::to_be_bytes).concat();
                frame.extend([0, 0, 0, 1, 0xff, 0xff]);
                if api.key.request_header_version(version) >= 2 {
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

    /// Generates recipes whose steps mostly have the length of a small batch.
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

    /// Generates recipes of batches that are mostly right, with some bytes replaced.
    fn batch_recipe() -> impl Strategy<Value = Vec<u8>> {
        let sample = (0..40, 0..200usize).prop_map(|(count, value_len)| {
            batch::tests::sample(&batch::tests::Sample {
                count: count + 1,
                value_len,
                ..batch::tests::Sample::default()
            })
        });
        let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        (0..5u8, any::<bool>(), sample, changes).prop_map(|(codec, compact, batch, changes)| {
            let mut recipe = vec![codec | u8::from(compact) << 4];
            recipe.extend(batch);
            for (at, byte) in changes {
                let at = 1 + at.index(recipe.len() - 1);
                recipe[at] = byte;
            }
            recipe
        })
    }

    #[test]
    fn a_recipe_of_a_whole_batch_is_accepted() {
        let mut recipe = vec![0];
        let sample = batch::tests::sample(&batch::tests::Sample::default());
        recipe.extend(&sample);
        for codec in 0..5 {
            recipe[0] = codec;
            batch(&recipe);
        }
        let header = produce::check(&sample, i16::MAX).unwrap();
        assert!(log::check_records(&LogConfig::default(), &header, &sample, 0).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_bytes_are_a_batch_or_are_refused(recipe in vec(any::<u8>(), 0..300)) {
            batch(&recipe);
        }

        #[test]
        fn a_damaged_batch_is_one_or_is_refused(recipe in batch_recipe()) {
            batch(&recipe);
        }
    }

    proptest! {
        // Few cases, because each of them syncs some files.
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn whatever_lies_in_a_folder_is_read_cut_or_refused(recipe in recipe()) {
            let dir = tempfile::tempdir().unwrap();
            recovery(dir.path(), &recipe);
        }
    }
}
