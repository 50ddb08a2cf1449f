use std::path::Path;

use eventos_testkit::fuzz;
use proptest::{collection::vec, prelude::*};

use super::{batch, decompress, journals, recovery, request};
use crate::{
    api::produce,
    log::{self, LogConfig},
    protocol::{apis::APIS, length_check::tests::sample},
    record::batch::tests as batches,
};

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
    let header = batches::sample(&batches::Sample::default());
    let batch = vec((0..header.len(), any::<u8>()), 0..4).prop_map(move |changes| {
        let mut batch = header.clone();
        for (at, byte) in changes {
            batch[at] = byte;
        }
        batch
    });
    let step = (0..4u8, prop_oneof![batch, vec(any::<u8>(), 0..100)]);
    (any::<u8>(), vec(step, 0..8)).prop_map(|(first, steps)| {
        let bytes = |(kind, bytes): (u8, Vec<u8>)| [&[kind, bytes.len() as u8], &*bytes].concat();
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
        batches::sample(&batches::Sample {
            count: count + 1,
            value_len,
            ..batches::Sample::default()
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
    let sample = batches::sample(&batches::Sample::default());
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

/// Runs a fuzz target on its seeds and on changes of them, for seconds.
fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    fuzz::run(&folder, target, body);
}

/// Returns an empty folder, in memory where there is one, because syncing a file to a disk takes far longer than reading it.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.expect("a folder")
}

#[test]
fn fuzz_batch() {
    run("batch", batch);
}

#[test]
fn fuzz_decompress() {
    run("decompress", decompress);
}

#[test]
fn fuzz_journals() {
    run("journals", |recipe| journals(folder().path(), recipe));
}

#[test]
fn fuzz_recovery() {
    run("recovery", |recipe| recovery(folder().path(), recipe));
}

#[test]
fn fuzz_request() {
    run("request", request);
}
