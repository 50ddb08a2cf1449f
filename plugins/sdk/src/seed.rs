//! The seed of a record: a hash of what identifies it, and of the name of the handler.

use std::cell::OnceCell;

use crate::config;

/// The setting under which the daemon gives the name of the handler.
const NAME_KEY: &str = "eventos.handler";

thread_local! {
    static HANDLER: OnceCell<String> = const { OnceCell::new() };
}

/// Returns a number that differs as soon as the name of the handler, the topic or one of the numbers does.
pub(crate) fn of(topic: &str, numbers: [i64; 3]) -> u64 {
    HANDLER.with(|handler| {
        let handler = handler.get_or_init(|| config::get(NAME_KEY).unwrap_or_default());
        hash(handler, topic, numbers)
    })
}

/// FNV-1a, with the last step of SplitMix64, so that each bit of the input changes each bit of the number.
fn hash(handler: &str, topic: &str, numbers: [i64; 3]) -> u64 {
    let texts = [handler, topic]
        .into_iter()
        .flat_map(|text| text.bytes().chain([0xff]));
    let numbers = numbers.into_iter().flat_map(i64::to_le_bytes);
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = texts.chain(numbers).fold(0xcbf2_9ce4_8422_2325, fnv);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_counts() {
        let mut seeds = vec![
            hash("h", "t", [0, 0, 0]),
            hash("i", "t", [0, 0, 0]),
            hash("h", "u", [0, 0, 0]),
            hash("", "ht", [0, 0, 0]),
            hash("h", "t", [1, 0, 0]),
            hash("h", "t", [0, 1, 0]),
            hash("h", "t", [0, 0, 1]),
        ];
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 7);
    }

    /// The SDK for C gives the same numbers.
    #[test]
    fn the_number_of_a_record_never_changes() {
        assert_eq!(hash("probe", "eventos", [3, 41, 0]), SEED_OF_41);
    }

    const SEED_OF_41: u64 = 0x7e00_bef7_8929_719b;
}
