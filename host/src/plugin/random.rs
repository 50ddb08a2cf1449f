//! The random numbers that guests get from WASI. During a call they follow from the record, so that a replay gives the same again; they
//! differ from record to record, and from handler to handler. While an instance starts, they come from the operating system.

use std::ops::Range;

use wasmtime::Result;

use crate::event::Batch;

/// Distinguishes this use of the hash from others, as BLAKE3 asks for.
const CONTEXT: &str = "eventos 2026-11-30 random numbers of a handler's call";

/// The random numbers of one call, or of one record where the guest gets them one by one.
#[derive(Default)]
pub(super) struct RandomStream(Option<blake3::OutputReader>);

impl RandomStream {
    /// Fills `bytes` with the next numbers for the record at `index` of a batch. Without a batch, they come from the operating system.
    pub(super) fn fill(
        &mut self,
        bytes: &mut [u8],
        handler: &str,
        source: Option<(&Batch, usize)>,
    ) -> Result<()> {
        let Some((batch, index)) = source else {
            return getrandom::fill(bytes)
                .map_err(|error| wasmtime::format_err!("cannot get random bytes: {error}"));
        };
        let stream = self.0.get_or_insert_with(|| seeded(handler, batch, index));
        stream.fill(bytes);
        Ok(())
    }
}

fn seeded(handler: &str, batch: &Batch, index: usize) -> blake3::OutputReader {
    let offset = batch.offset(index);
    // Replacements that an earlier handler made share an offset.
    let before: Range<usize> = 0..index;
    let sharing = before
        .rev()
        .take_while(|&before| batch.offset(before) == offset);
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for text in [handler, batch.topic()] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(&batch.partition().0.to_le_bytes());
    hasher.update(&offset.0.to_le_bytes());
    hasher.update(&(sharing.count() as u64).to_le_bytes());
    hasher.finalize_xof()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Offset, Partition, Timestamp, TopicPartition};

    fn batch(topic: &str, partition: i32, offsets: &[i64]) -> Batch {
        let mut batch = Batch::new(TopicPartition::new(topic, Partition(partition)));
        for &offset in offsets {
            let value = br#"{"id":1,"tipo":"t"}"#;
            batch.push(Offset(offset), None, Some(value), [], (Timestamp::NONE, 0));
        }
        batch
    }

    fn number(handler: &str, batch: &Batch, index: usize) -> u64 {
        let mut bytes = [0; 8];
        RandomStream::default()
            .fill(&mut bytes, handler, Some((batch, index)))
            .expect("filled");
        u64::from_le_bytes(bytes)
    }

    #[test]
    fn numbers_follow_from_the_handler_and_the_record() {
        let whole = batch("t", 3, &[7, 8, 8, 9]);
        let all: Vec<_> = (0..4).map(|i| number("h", &whole, i)).collect();
        assert_eq!(number("h", &batch("t", 3, &[9]), 0), all[3]);
        let others = [
            number("i", &whole, 0),
            number("h", &batch("u", 3, &[7]), 0),
            number("h", &batch("t", 4, &[7]), 0),
        ];
        let mut different: Vec<_> = all.iter().chain(&others).collect();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 7);
    }

    #[test]
    fn a_stream_goes_on_whatever_is_asked_for_at_once() {
        let batch = batch("t", 0, &[0]);
        let mut whole = [0; 100];
        let mut parts = [0; 100];
        let mut stream = RandomStream::default();
        let source = Some((&batch, 0));
        stream.fill(&mut whole, "h", source).expect("filled");
        let mut stream = RandomStream::default();
        for part in parts.chunks_mut(7) {
            stream.fill(part, "h", source).expect("filled");
        }
        assert_eq!(whole, parts);
    }

    #[test]
    fn without_a_record_they_come_from_the_operating_system() {
        let mut both = [[0_u8; 16]; 2];
        for bytes in &mut both {
            RandomStream::default()
                .fill(bytes, "h", None)
                .expect("filled");
        }
        assert_ne!(both[0], both[1]);
    }
}
