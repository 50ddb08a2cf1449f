//! `DescribeConfigs`: the settings that hold, which nobody can alter yet. A topic asked for with another value is
//! refused rather than made without it.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_response::CreatableTopicConfigs;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::produce::MAX_BATCH;
use super::{NODE, text};
use crate::embedded::Shared;
use crate::embedded::log::Settings;

/// Kinds of resources (`ConfigResource.Type`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from (`ConfigEntry.ConfigSource`).
const DEFAULT: i8 = 5;
/// Kinds of values (`ConfigDef.Type`).
const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

/// Name, value, kind of value.
type Entry = (&'static str, String, i8);

fn topic_configs() -> Vec<Entry> {
    vec![
        ("cleanup.policy", "delete".to_owned(), LIST),
        ("compression.type", "producer".to_owned(), STRING),
        ("max.message.bytes", MAX_BATCH.to_string(), INT),
        ("message.timestamp.type", "CreateTime".to_owned(), STRING),
        ("min.insync.replicas", "1".to_owned(), INT),
        ("retention.bytes", "-1".to_owned(), LONG),
        ("retention.ms", "-1".to_owned(), LONG),
        (
            "segment.bytes",
            Settings::default().segment_bytes.to_string(),
            INT,
        ),
    ]
}

fn broker_configs(shared: &Shared) -> Vec<Entry> {
    let partitions = shared.topics.default_partitions().to_string();
    vec![
        ("auto.create.topics.enable", "true".to_owned(), BOOLEAN),
        ("broker.id", NODE.0.to_string(), INT),
        ("default.replication.factor", "1".to_owned(), INT),
        ("delete.topic.enable", "true".to_owned(), BOOLEAN),
        (
            "log.dirs",
            shared.folder.path().display().to_string(),
            STRING,
        ),
        ("message.max.bytes", MAX_BATCH.to_string(), INT),
        ("num.partitions", partitions, INT),
    ]
}

/// Whether a new topic may be asked for with this setting: only if it says what holds anyway.
pub fn check(name: &str, value: Option<&str>) -> Result<(), String> {
    let configs = topic_configs();
    let Some((_, ours, _)) = configs.iter().find(|(known, ..)| *known == name) else {
        return Err(format!(
            "topic setting {name:?} is not supported; leave it out"
        ));
    };
    match value {
        None => Ok(()),
        Some(value) if value == ours => Ok(()),
        Some(value) => Err(format!(
            "{name}={value} is not supported; it is always {ours}"
        )),
    }
}

/// The settings of a topic that was just made.
pub fn of_new_topic() -> Vec<CreatableTopicConfigs> {
    let entry = |(name, value, _): Entry| {
        CreatableTopicConfigs::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(DEFAULT)
    };
    topic_configs().into_iter().map(entry).collect()
}

/// The settings of topics and of the node.
pub fn describe(shared: &Shared, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let entries = find(shared, &resource);
        let response = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match entries {
            Ok(entries) => response.with_configs(
                entries
                    .into_iter()
                    .filter(|(name, ..)| match &resource.configuration_keys {
                        None => true,
                        Some(keys) => keys.iter().any(|key| key.as_str() == *name),
                    })
                    .map(described)
                    .collect(),
            ),
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(Some(text(reason))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn find(
    shared: &Shared,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Entry>, (ResponseError, String)> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC if shared.topics.get(name).is_some() => Ok(topic_configs()),
        TOPIC => {
            let reason = format!("there is no topic {name:?}");
            Err((ResponseError::UnknownTopicOrPartition, reason))
        }
        BROKER if name.is_empty() || name == NODE.0.to_string() => Ok(broker_configs(shared)),
        BROKER => {
            let reason = format!("there is no node {name:?}, only {}", NODE.0);
            Err((ResponseError::InvalidRequest, reason))
        }
        kind => {
            let reason = format!("settings of resource type {kind} are not supported");
            Err((ResponseError::InvalidRequest, reason))
        }
    }
}

fn described((name, value, kind): Entry) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_read_only(true)
        .with_config_source(DEFAULT)
        .with_config_type(kind)
}
