//! Tests of topic settings.

use super::*;
use crate::log::Timestamps;

fn parse(pairs: &[(&str, &str)]) -> Result<TopicSettings, SettingError> {
    TopicSettings::parse(pairs.iter().copied())
}

fn set(name: &str, value: &str) -> SettingsChange {
    each(name, SettingOperation::Set(value.to_owned()))
}

fn each(name: &str, operation: SettingOperation) -> SettingsChange {
    SettingsChange::Each(vec![(name.to_owned(), operation)])
}

#[test]
fn without_any_the_log_is_as_it_is_by_default() {
    let settings = parse(&[]).unwrap();
    assert_eq!(settings, TopicSettings::default());
    assert_eq!(settings.log(), &LogConfig::default());
    assert_eq!(settings.min_insync_replicas(), 1);
    assert_eq!(settings.overrides().count(), 0);
}

#[test]
fn every_default_is_a_value_that_may_be_set_and_changes_nothing() {
    for setting in all() {
        let default = setting.default();
        let settings = parse(&[(setting.name, &default)]).unwrap();
        assert_eq!(settings.log(), &LogConfig::default(), "{setting:?}");
        let overrides: Vec<_> = settings.overrides().collect();
        assert_eq!(overrides, [(setting.name, default.as_str())]);
    }
}

#[test]
fn the_table_is_in_order_and_names_nothing_twice() {
    let names: Vec<_> = all().iter().map(|setting| setting.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}

#[test]
fn each_setting_reaches_its_field_of_the_log() {
    let settings = parse(&[
        ("cleanup.policy", "compact"),
        ("delete.retention.ms", "1"),
        ("max.compaction.lag.ms", "3"),
        ("max.message.bytes", "4"),
        ("message.timestamp.after.max.ms", "5"),
        ("message.timestamp.before.max.ms", "6"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("min.compaction.lag.ms", "2"),
        ("min.insync.replicas", "2"),
        ("retention.bytes", "7"),
        ("retention.ms", "8"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "9"),
    ])
    .unwrap();
    let expected = LogConfig {
        segment_bytes: 1 << 20,
        segment_ms: 9,
        delete: false,
        compact: true,
        retention_ms: Some(8),
        retention_bytes: Some(7),
        max_batch_bytes: 4,
        timestamps: Timestamps::LogAppendTime,
        timestamp_before_max_ms: 6,
        timestamp_after_max_ms: 5,
        delete_retention_ms: 1,
        min_compaction_lag_ms: 2,
        max_compaction_lag_ms: 3,
        min_dirty_ratio: 0.25,
    };
    assert_eq!(settings.log(), &expected);
    assert_eq!(settings.min_insync_replicas(), 2);
}

#[test]
fn values_that_kafka_takes_are_taken() {
    for (name, value, kept) in [
        ("retention.ms", "-1", "-1"),
        ("retention.ms", " 1000 ", "1000"),
        ("retention.ms", "+5", "+5"),
        ("retention.bytes", "-2", "-2"),
        ("retention.ms", "9223372036854775807", "9223372036854775807"),
        ("cleanup.policy", "", ""),
        ("cleanup.policy", " compact , delete ", "compact,delete"),
        ("cleanup.policy", "delete,delete", "delete,delete"),
        ("max.message.bytes", "0", "0"),
        ("unclean.leader.election.enable", "TRUE", "TRUE"),
        ("min.cleanable.dirty.ratio", "1e-1", "1e-1"),
        ("message.timestamp.after.max.ms", "0", "0"),
        ("flush.ms", "9223372036854775807", "9223372036854775807"),
        ("compression.type", "producer", "producer"),
    ] {
        let settings = parse(&[(name, value)]).unwrap();
        assert_eq!(settings.overrides().next(), Some((name, kept)));
    }
    let none = parse(&[("retention.ms", "-1"), ("retention.bytes", "-2")]).unwrap();
    assert_eq!(none.log().retention_ms, None);
    assert_eq!(none.log().retention_bytes, None);
    let policies = ["", "compact", "delete", "delete,compact"].map(|policy| {
        let settings = parse(&[("cleanup.policy", policy)]).unwrap();
        (settings.log().compact, settings.log().delete)
    });
    assert_eq!(
        policies,
        [(false, false), (true, false), (false, true), (true, true)]
    );
}

#[test]
fn values_that_kafka_refuses_are_refused() {
    for (name, value) in [
        ("retention.ms", "-2"),
        ("retention.ms", "abc"),
        ("retention.ms", ""),
        ("retention.ms", "9223372036854775808"),
        ("cleanup.policy", "compact,foo"),
        ("cleanup.policy", "compact,"),
        ("min.insync.replicas", "0"),
        ("compression.type", "foo"),
        ("segment.bytes", "1048575"),
        ("segment.bytes", "2147483648"),
        ("segment.ms", "0"),
        ("max.message.bytes", "-1"),
        ("message.timestamp.type", "createtime"),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("max.compaction.lag.ms", "0"),
        ("min.compaction.lag.ms", "-1"),
        ("delete.retention.ms", "-1"),
        ("unclean.leader.election.enable", "yes"),
        ("message.timestamp.before.max.ms", "-1"),
        ("index.interval.bytes", "-1"),
        ("segment.index.bytes", "3"),
        ("segment.jitter.ms", "-1"),
        ("file.delete.delay.ms", "-1"),
        ("preallocate", "x"),
    ] {
        let refused = parse(&[(name, value)]).unwrap_err();
        let SettingError::Value { name: named, .. } = refused else {
            panic!("{name}={value}: {refused}");
        };
        assert_eq!(named, name);
    }
    let lags = [
        ("min.compaction.lag.ms", "10"),
        ("max.compaction.lag.ms", "5"),
    ];
    let refused = parse(&lags).unwrap_err();
    assert_eq!(refused, SettingError::Lags { min: 10, max: 5 });
}

#[test]
fn what_is_not_honoured_is_refused_with_the_reason() {
    for (name, value, reason) in [
        ("retention.mss", "1", "did you mean retention.ms?"),
        ("Retention.MS", "1", "did you mean retention.ms?"),
        (
            "unknown.thing",
            "1",
            "unknown topic setting \"unknown.thing\"",
        ),
        (
            "compression.type",
            "snappy",
            "set compression.type at the producer",
        ),
        ("flush.messages", "1", "flushes all topics alike"),
        ("remote.storage.enable", "true", "no tiered storage"),
        ("message.format.version", "3.0", "Kafka 4 has removed it"),
    ] {
        let refused = parse(&[(name, value)]).unwrap_err().to_string();
        assert!(refused.contains(reason), "{name}={value}: {refused}");
    }
    let unlike = parse(&[("unknown.thing", "1")]).unwrap_err().to_string();
    assert!(!unlike.contains("did you mean"), "{unlike}");
}

#[test]
fn operations_change_one_setting_and_leave_the_others() {
    let settings = parse(&[("retention.ms", "5"), ("cleanup.policy", "compact")]).unwrap();
    let policy = |change| {
        let changed = settings.changed(&change).unwrap();
        assert_eq!(changed.log().retention_ms, Some(5));
        let mut policy = changed
            .overrides()
            .filter(|(name, _)| name.starts_with('c'));
        policy.next().map(|(_, value)| value.to_owned())
    };
    let list = |operation: fn(String) -> SettingOperation, value: &str| {
        policy(each("cleanup.policy", operation(value.to_owned())))
    };
    assert_eq!(
        list(SettingOperation::Set, "delete").as_deref(),
        Some("delete")
    );
    let both = Some("compact,delete");
    assert_eq!(list(SettingOperation::Append, "delete").as_deref(), both);
    assert_eq!(
        list(SettingOperation::Append, "compact,delete").as_deref(),
        both
    );
    assert_eq!(
        list(SettingOperation::Subtract, "compact").as_deref(),
        Some("")
    );
    assert_eq!(
        list(SettingOperation::Subtract, "foo").as_deref(),
        Some("compact")
    );
    assert_eq!(
        policy(each("cleanup.policy", SettingOperation::Delete)),
        None
    );
    let never_set = policy(each("bogus", SettingOperation::Delete));
    assert_eq!(never_set.as_deref(), Some("compact"));
}

#[test]
fn a_list_that_was_not_set_grows_from_its_default() {
    let more = each(
        "cleanup.policy",
        SettingOperation::Append("compact".to_owned()),
    );
    let changed = TopicSettings::default().changed(&more).unwrap();
    let overrides: Vec<_> = changed.overrides().collect();
    assert_eq!(overrides, [("cleanup.policy", "delete,compact")]);
}

#[test]
fn a_replacement_forgets_what_it_does_not_name() {
    let settings = parse(&[("retention.ms", "5")]).unwrap();
    let only = SettingsChange::Replace(vec![("segment.ms".to_owned(), "7".to_owned())]);
    let changed = settings.changed(&only).unwrap();
    assert_eq!(changed, parse(&[("segment.ms", "7")]).unwrap());
}

#[test]
fn a_change_that_cannot_be_is_refused_as_a_whole() {
    let settings = parse(&[("min.compaction.lag.ms", "10")]).unwrap();
    let refuse = |change| settings.changed(&change).unwrap_err();
    let lags = refuse(set("max.compaction.lag.ms", "9"));
    assert!(matches!(
        lags,
        ChangeError::Setting(SettingError::Lags { .. })
    ));
    for name in ["retention.ms", "bogus"] {
        for operation in [SettingOperation::Append, SettingOperation::Subtract] {
            let refused = refuse(each(name, operation("1".to_owned())));
            assert!(matches!(refused, ChangeError::NoList { .. }), "{refused}");
        }
    }
    let empty = refuse(each(
        "cleanup.policy",
        SettingOperation::Append(String::new()),
    ));
    assert!(matches!(empty, ChangeError::Setting(_)), "{empty}");
    let twice = vec![
        (
            "segment.ms".to_owned(),
            SettingOperation::Set("5".to_owned()),
        ),
        ("segment.ms".to_owned(), SettingOperation::Delete),
    ];
    assert_eq!(
        refuse(SettingsChange::Each(twice)),
        ChangeError::Repeated("segment.ms".to_owned())
    );
    let twice = vec![("segment.ms".to_owned(), "5".to_owned()); 2];
    assert_eq!(
        refuse(SettingsChange::Replace(twice)),
        ChangeError::Repeated("segment.ms".to_owned())
    );
}

#[test]
fn no_value_has_a_blank_in_it() {
    for (name, value) in [
        ("retention.ms", "\n 5\t"),
        ("cleanup.policy", "\tcompact ,\n delete "),
        ("min.cleanable.dirty.ratio", " 0.5\r\n"),
    ] {
        let settings = parse(&[(name, value)]).unwrap();
        let kept = settings.overrides().next().unwrap().1;
        assert!(!kept.contains(char::is_whitespace), "{kept:?}");
    }
}
