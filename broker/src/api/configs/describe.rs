//! `DescribeConfigs`: what holds, and why.

use kafka_protocol::messages::create_topics_response::CreatableTopicConfigs;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::{BROKER, Source, TOPIC, broker, check_node, unknown_kind};
use crate::Shared;
use crate::api::{self, Refused, refused, text};
use crate::topics::{Kind, Setting, TopicError, TopicSettings, all_settings, check_name};

/// A setting with its value.
#[derive(Debug)]
pub struct Entry {
    /// Kafka's name of it.
    pub name: &'static str,
    /// What holds.
    pub value: String,
    /// What the value is.
    pub kind: Kind,
    /// Who said so.
    pub source: Source,
    /// Whether it can be altered by a client.
    pub read_only: bool,
    /// Name, value and source of all that were considered; the first one holds.
    pub synonyms: Vec<(&'static str, String, Source)>,
    /// What it is for, for people.
    pub documentation: Option<&'static str>,
}

/// The settings of topics and of the node: those asked for by name, or all of them.
pub fn handle(shared: &Shared, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|resource| {
        let entries = find(shared, &resource);
        let keys = resource.configuration_keys.unwrap_or_default();
        let asked = |entry: &Entry| keys.is_empty() || keys.iter().any(|k| **k == *entry.name);
        let response = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match entries {
            Ok(entries) => {
                let entries = entries.into_iter().filter(asked);
                let described = entries.map(|entry| described(entry, synonyms, documentation));
                response.with_configs(described.collect())
            }
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(api::reason(reason)),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// The settings of a topic that was just made, or would be.
pub fn of_new_topic(settings: &TopicSettings) -> Vec<CreatableTopicConfigs> {
    let entry = |entry: Entry| {
        CreatableTopicConfigs::default()
            .with_name(text(entry.name))
            .with_value(Some(text(entry.value)))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source as i8)
    };
    of_topic(settings).into_iter().map(entry).collect()
}

fn find(shared: &Shared, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, Refused> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            check_name(name).map_err(refused)?;
            let topic = shared.topics.get(name);
            let topic = topic.ok_or_else(|| refused(TopicError::Unknown(name.to_owned())))?;
            Ok(of_topic(&topic.settings))
        }
        BROKER => {
            check_node(name)?;
            // The empty name asks for what was set for all nodes by a client, which nothing can be.
            let all = (!name.is_empty()).then(|| broker::entries(shared));
            Ok(all.unwrap_or_default())
        }
        kind => Err(unknown_kind(kind)),
    }
}

fn of_topic(settings: &TopicSettings) -> Vec<Entry> {
    let entry = |setting: &'static Setting| {
        let own = settings.override_of(setting);
        let own = own.map(|value| (setting.name, value.to_owned(), Source::Topic));
        let default = setting
            .broker_name
            .map(|name| (name, setting.default(), Source::Default));
        Entry {
            name: setting.name,
            value: settings.value_of(setting),
            kind: setting.kind(),
            source: own.as_ref().map_or(Source::Default, |own| own.2),
            read_only: false,
            synonyms: own.into_iter().chain(default).collect(),
            documentation: Some(setting.documentation),
        }
    };
    all_settings().iter().map(entry).collect()
}

fn described(entry: Entry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let synonym = |(name, value, source): (&str, String, Source)| {
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

/// `ConfigDef.Type` as `DescribeConfigsResponse.ConfigType` numbers it.
fn code(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::Text => 2,
        Kind::Int => 3,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
    }
}
