//! The settings of the broker, which are set when it starts and cannot be altered by clients.

use super::{ConfigSource, describe::ConfigEntry};
use crate::{
    api::NODE,
    shared::Shared,
    topics::{SettingKind, all_settings},
};

/// Returns the settings of Kafka that this broker has, with the defaults for topics.
pub(crate) fn entries(shared: &Shared) -> Vec<ConfigEntry> {
    let folder = shared.folder.path().display().to_string();
    let listener = format!("PLAINTEXT://{}", shared.address);
    let partitions = shared.topics.default_partitions().to_string();
    let (yes, node) = (String::from("true"), NODE.0.to_string());
    let (preset, configured) = (ConfigSource::Default, ConfigSource::Static);
    let (boolean, int, list) = (SettingKind::Boolean, SettingKind::Int, SettingKind::List);
    let settings = [
        ("auto.create.topics.enable", yes.clone(), boolean, preset),
        ("broker.id", node.clone(), int, configured),
        ("default.replication.factor", "1".to_owned(), int, preset),
        ("delete.topic.enable", yes, boolean, preset),
        ("listeners", listener, list, configured),
        ("log.dirs", folder, list, configured),
        ("node.id", node, int, configured),
        ("num.partitions", partitions, int, configured),
    ];
    let settings = settings.map(|(name, value, kind, source)| ConfigEntry {
        name,
        synonyms: vec![(name, value.clone(), source)],
        value,
        kind,
        source,
        read_only: true,
        documentation: None,
    });
    let topic_defaults = all_settings().iter().filter_map(|setting| {
        let name = setting.broker_name?;
        Some(ConfigEntry {
            name,
            value: setting.default(),
            kind: setting.kind(),
            source: ConfigSource::Default,
            read_only: true,
            synonyms: vec![(name, setting.default(), ConfigSource::Default)],
            documentation: Some(setting.documentation),
        })
    });
    settings.into_iter().chain(topic_defaults).collect()
}
