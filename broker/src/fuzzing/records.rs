//! Any bytes as a produced batch, and as compressed records.

use super::valid_batch;
use crate::{
    api::produce,
    log::{self, LogConfig},
    record::{batch::HEADER_LEN, compression, records},
};

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
