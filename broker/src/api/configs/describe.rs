//! `DescribeConfigs`: the value and the origin of each setting.

use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse,
    create_topics_response::CreatableTopicConfigs,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
    },
};

use super::{BROKER, ConfigSource, TOPIC, broker, check_node, unknown_kind};
use crate::{
    api::{self, Refusal, text, topic_refusal},
    shared::Shared,
    topics::{Setting, SettingKind, TopicError, TopicSettings, all_settings, check_name},
};

/// A setting and its value.
#[derive(Debug)]
pub(crate) struct ConfigEntry {
    /// Kafka's name of the setting.
    pub(crate) name: &'static str,
    /// The value in effect.
    pub(crate) value: String,
    /// The type of the value.
    pub(crate) kind: SettingKind,
    /// The origin of the value.
    pub(crate) source: ConfigSource,
    /// Whether clients cannot alter it.
    pub(crate) read_only: bool,
    /// Name, value and source of all candidates, of which the first is in effect.
    pub(crate) synonyms: Vec<(&'static str, String, ConfigSource)>,
    /// The documentation of the setting.
    pub(crate) documentation: Option<&'static str>,
}

/// Describes the requested settings of topics and of the node, or all of them.
pub(crate) fn handle(shared: &Shared, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|resource| {
        let entries = find(shared, &resource);
        let keys = resource.configuration_keys.unwrap_or_default();
        let requested =
            |entry: &ConfigEntry| keys.is_empty() || keys.iter().any(|k| **k == *entry.name);
        let response = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match entries {
            Ok(entries) => {
                let entries = entries.into_iter().filter(requested);
                let described = entries.map(|entry| described(entry, synonyms, documentation));
                response.with_configs(described.collect())
            }
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(api::error_message(reason)),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// Returns the settings of a topic that was just created or validated.
pub(crate) fn of_new_topic(settings: &TopicSettings) -> Vec<CreatableTopicConfigs> {
    let entry = |entry: ConfigEntry| {
        CreatableTopicConfigs::default()
            .with_name(text(entry.name))
            .with_value(Some(text(entry.value)))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source as i8)
    };
    of_topic(settings).into_iter().map(entry).collect()
}

fn find(shared: &Shared, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, Refusal> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            check_name(name).map_err(topic_refusal)?;
            let topic = shared.topics.get(name);
            let topic = topic.ok_or_else(|| topic_refusal(TopicError::Unknown(name.to_owned())))?;
            Ok(of_topic(&topic.settings))
        }
        BROKER => {
            check_node(name)?;
            // The empty name asks for settings that clients have set for all nodes, which is impossible here.
            let all = (!name.is_empty()).then(|| broker::entries(shared));
            Ok(all.unwrap_or_default())
        }
        kind => Err(unknown_kind(kind)),
    }
}

fn of_topic(settings: &TopicSettings) -> Vec<ConfigEntry> {
    let entry = |setting: &'static Setting| {
        let own = settings.override_of(setting);
        let own = own.map(|value| (setting.name, value.to_owned(), ConfigSource::Topic));
        let default = setting
            .broker_name
            .map(|name| (name, setting.default(), ConfigSource::Default));
        ConfigEntry {
            name: setting.name,
            value: settings.value_of(setting),
            kind: setting.kind(),
            source: own.as_ref().map_or(ConfigSource::Default, |own| own.2),
            read_only: false,
            synonyms: own.into_iter().chain(default).collect(),
            documentation: Some(setting.documentation),
        }
    };
    all_settings().iter().map(entry).collect()
}

fn described(
    entry: ConfigEntry,
    synonyms: bool,
    documentation: bool,
) -> DescribeConfigsResourceResult {
    let synonym = |(name, value, source): (&str, String, ConfigSource)| {
        DescribeConfigsSynonym::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_source(source as i8)
    };
    let synonyms = entry.synonyms.into_iter().filter(|_| synonyms).map(synonym);
    DescribeConfigsResourceResult::default()
        .with_name(text(entry.name))
        .with_value(Some(text(entry.value)))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_synonyms(synonyms.collect())
        .with_config_type(code(entry.kind))
        .with_documentation(entry.documentation.filter(|_| documentation).map(text))
}

/// Returns the number of a type in `DescribeConfigsResponse.ConfigType`.
fn code(kind: SettingKind) -> i8 {
    match kind {
        SettingKind::Boolean => 1,
        SettingKind::Text => 2,
        SettingKind::Int => 3,
        SettingKind::Long => 5,
        SettingKind::Double => 6,
        SettingKind::List => 7,
    }
}
