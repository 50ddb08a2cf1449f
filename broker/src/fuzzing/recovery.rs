//! Any bytes as the files of a partition.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use super::valid_batch;
use crate::{
    Error,
    ids::Offset,
    log::{LogConfig, PartitionLog},
    record::batch::{self, HEADER_LEN, RecordBatchHeader},
    storage::Trust,
};

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
