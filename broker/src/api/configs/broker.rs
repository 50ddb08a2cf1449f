//! The settings of the broker that clients ask for. They are set where the broker is started, never here.

use super::Source;
use super::describe::Entry;
use crate::Shared;
use crate::api::NODE;
use crate::topics::{Kind, all_settings};

/// Those of Kafka that hold here, the defaults for topics among them.
pub fn entries(shared: &Shared) -> Vec<Entry> {
    let folder = shared.folder.path().display().to_string();
    let listener = format!("PLAINTEXT://{}", shared.address);
    let partitions = shared.topics.default_partitions().to_string();
    let (yes, node) = (String::from("true"), NODE.0.to_string());
    let own = [
        (
            "auto.create.topics.enable",
            yes.clone(),
            Kind::Boolean,
            Source::Default,
        ),
        ("broker.id", node.clone(), Kind::Int, Source::Static),
        (
            "default.replication.factor",
            "1".to_owned(),
            Kind::Int,
            Source::Default,
        ),
        ("delete.topic.enable", yes, Kind::Boolean, Source::Default),
        ("listeners", listener, Kind::List, Source::Static),
        ("log.dirs", folder, Kind::List, Source::Static),
        ("node.id", node, Kind::Int, Source::Static),
        ("num.partitions", partitions, Kind::Int, Source::Static),
    ];
    let own = own.map(|(name, value, kind, source)| Entry {
        name,
        synonyms: vec![(name, value.clone(), source)],
        value,
        kind,
        source,
        read_only: true,
        documentation: None,
    });
    let of_topics = all_settings().iter().filter_map(|setting| {
        let name = setting.broker_name?;
        Some(Entry {
            name,
            value: setting.default(),
            kind: setting.kind(),
            source: Source::Default,
            read_only: true,
            synonyms: vec![(name, setting.default(), Source::Default)],
            documentation: Some(setting.documentation),
        })
    });
    own.into_iter().chain(of_topics).collect()
}
