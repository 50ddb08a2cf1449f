//! Tests of the registry of topics.

use super::*;
use crate::{
    record::batch::{self, tests::Sample},
    storage::Trust,
};

fn create(topics: &Topics, name: &str, partitions: Option<i32>) -> Result<Arc<Topic>, TopicError> {
    topics.create(name, partitions, TopicSettings::default())
}

fn set(name: &str, value: &str) -> SettingsChange {
    let operation = SettingOperation::Set(value.to_owned());
    SettingsChange::Each(vec![(name.to_owned(), operation)])
}

/// Appends batches of 300 kB each; returns the number of segments.
fn segments_after(topic: &Topic, folder: &Path, partition: usize, batches: usize) -> usize {
    let bytes = batch::tests::sample(&Sample {
        value_len: 300_000,
        ..Sample::default()
    });
    let header = batch::verify(&bytes).unwrap();
    for _ in 0..batches {
        topic.partitions[partition].append(&header, &bytes).unwrap();
    }
    let folder = folder.join(format!("logs/{}-{partition}", topic.name));
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "log");
    names.filter(is_log).count()
}

#[test]
fn topics_survive_a_reopening_and_deleted_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::open(dir.path(), 4, Trust::All).unwrap();
    let kept = create(&topics, "kept.one", Some(2)).unwrap();
    create(&topics, "gone", None).unwrap();
    topics.add_partitions("kept.one", 3).unwrap();
    topics.delete("gone").unwrap();
    drop(topics);
    fs::create_dir(dir.path().join("logs/left-0")).unwrap();

    let topics = Topics::open(dir.path(), 4, Trust::All).unwrap();
    assert_eq!(topics.len(), 1);
    let again = topics.get("kept.one").unwrap();
    assert_eq!((again.id, again.partitions.len()), (kept.id, 3));
    assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 3);
}

#[test]
fn names_and_numbers_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::open(dir.path(), 4, Trust::All).unwrap();
    for name in ["", ".", "..", "a b", "../x", "é", &"x".repeat(250)] {
        let refused = create(&topics, name, None).unwrap_err();
        assert!(matches!(refused, TopicError::Name { .. }), "{name}");
    }
    create(&topics, &"x".repeat(249), Some(1)).unwrap();
    for requested in [0, -2, 1_001] {
        assert!(create(&topics, "t", Some(requested)).is_err());
    }
    create(&topics, "t", Some(2)).unwrap();
    assert!(matches!(
        create(&topics, "t", None),
        Err(TopicError::Exists(_))
    ));
    assert!(topics.add_partitions("t", 2).is_err());
}

#[test]
fn logs_without_a_registry_are_not_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    create(&topics, "t", None).unwrap();
    drop(topics);
    fs::remove_file(dir.path().join("topics")).unwrap();
    assert!(matches!(
        Topics::open(dir.path(), 1, Trust::All),
        Err(Error::Damaged { .. })
    ));
    assert!(dir.path().join("logs/t-0").exists());
}

#[test]
fn a_flipped_bit_in_the_registry_is_found() {
    let dir = tempfile::tempdir().unwrap();
    create(&Topics::open(dir.path(), 1, Trust::All).unwrap(), "t", None).unwrap();
    let path = dir.path().join("topics");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(
        Topics::open(dir.path(), 1, Trust::All),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn settings_survive_a_reopening_and_reach_every_partition() {
    let dir = tempfile::tempdir().unwrap();
    let small = [("segment.bytes", "1048576"), ("cleanup.policy", "")];
    let settings = TopicSettings::parse(small).unwrap();
    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    topics.create("set", Some(1), settings.clone()).unwrap();
    topics.add_partitions("set", 2).unwrap();
    topics.alter("set", &set("retention.ms", "5")).unwrap();
    create(&topics, "plain", None).unwrap();
    drop(topics);

    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    let topic = topics.get("set").unwrap();
    let expected = settings.changed(&set("retention.ms", "5")).unwrap();
    assert_eq!(topic.settings, expected);
    for partition in 0..2 {
        // A segment of 1 MiB takes three batches.
        assert_eq!(segments_after(&topic, dir.path(), partition, 4), 2);
    }
    let plain = topics.get("plain").unwrap();
    assert_eq!(plain.settings, TopicSettings::default());
    assert_eq!(segments_after(&plain, dir.path(), 0, 4), 1);
}

#[test]
fn an_altered_setting_holds_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    let topic = create(&topics, "t", None).unwrap();
    assert_eq!(segments_after(&topic, dir.path(), 0, 4), 1);
    topics.alter("t", &set("segment.bytes", "1048576")).unwrap();
    assert_eq!(segments_after(&topic, dir.path(), 0, 1), 2);
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    create(&topics, "t", None).unwrap();
    topics.alter("t", &set("retention.ms", "5")).unwrap();
    let before = topics.get("t").unwrap().settings.clone();
    let refused = topics.alter("t", &set("retention.ms", "-5"));
    assert!(matches!(refused, Err(TopicError::Change(_))));
    let refused = topics.alter("none", &set("retention.ms", "5"));
    assert!(matches!(refused, Err(TopicError::Unknown(_))));
    assert_eq!(topics.get("t").unwrap().settings, before);
    // A check changes nothing.
    topics.check_alter("t", &set("retention.ms", "6")).unwrap();
    assert_eq!(topics.get("t").unwrap().settings, before);
}

/// Returns a registry file with these lines.
fn registry(lines: &str) -> String {
    format!("{lines}crc32c {:08x}\n", crc32c::crc32c(lines.as_bytes()))
}

#[test]
fn a_registry_of_the_time_before_settings_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "0000000000000000000000000000002a 2 old.topic\n";
    fs::write(dir.path().join("topics"), registry(lines)).unwrap();
    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    let old = topics.get("old.topic").unwrap();
    assert_eq!((old.id, old.partitions.len()), (TopicId(42), 2));
    assert_eq!(old.settings, TopicSettings::default());
}

#[test]
fn a_setting_that_is_not_known_stops_the_start_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "0000000000000000000000000000002a 1 t retention.days=3\n";
    fs::write(dir.path().join("topics"), registry(lines)).unwrap();
    let refused = Topics::open(dir.path(), 1, Trust::All)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("retention.days"), "{refused}");
}

#[test]
fn what_a_deleted_topic_left_is_not_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
    let topic = create(&topics, "t", None).unwrap();
    segments_after(&topic, dir.path(), 0, 3);
    let left = crate::storage::tests::copy(&dir.path().join("logs"));
    topics.delete("t").unwrap();
    // As if its files could not have been removed.
    for (from, to) in [("t-0", "t-0"), ("t-0", "t-1")] {
        let copied = crate::storage::tests::copy(&left.path().join(from));
        fs::rename(copied.keep(), dir.path().join("logs").join(to)).unwrap();
    }
    let topic = create(&topics, "t", None).unwrap();
    topics.add_partitions("t", 2).unwrap();
    let topic = topics.get(&topic.name).unwrap();
    for log in &topic.partitions {
        assert_eq!(log.bounds().end.0, 0);
    }
}
