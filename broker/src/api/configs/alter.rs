//! `IncrementalAlterConfigs`, and its predecessor `AlterConfigs`, which replaces all settings of a topic at once.

use std::collections::HashSet;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
        alter_configs_response::AlterConfigsResourceResponse as Replaced,
        incremental_alter_configs_request::AlterableConfig,
        incremental_alter_configs_response::AlterConfigsResourceResponse as Altered,
    },
    protocol::StrBytes,
};

use super::{BROKER, TOPIC, check_node, unknown_kind};
use crate::{
    api::{self, Refusal, topic_refusal},
    shared::Shared,
    topics::{SettingOperation, SettingsChange},
};

/// Changes some settings of each resource. Each resource succeeds or fails by itself, with all of its changes.
pub(crate) fn incremental(
    shared: &Shared,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.iter();
    let repeated = repeated(resources.map(|r| (r.resource_type, &r.resource_name)));
    let responses = request.resources.into_iter().map(|resource| {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let operations = resource.configs.into_iter().map(operation);
        let change = operations
            .collect::<Result<_, _>>()
            .map(SettingsChange::Each);
        let once = check_once(&repeated, kind, &name);
        let change = once.and(change);
        let (code, reason) = code_and_message(
            change.and_then(|change| alter(shared, kind, &name, &change, request.validate_only)),
        );
        Altered::default()
            .with_error_code(code)
            .with_error_message(reason)
            .with_resource_type(kind)
            .with_resource_name(name)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

/// Replaces all settings of each resource.
pub(crate) fn replace(shared: &Shared, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let resources = request.resources.iter();
    let repeated = repeated(resources.map(|r| (r.resource_type, &r.resource_name)));
    let responses = request.resources.into_iter().map(|resource| {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let pairs = resource.configs.into_iter().map(|config| {
            let value = not_null(&config.name, config.value)?;
            Ok((config.name.to_string(), value))
        });
        let change = pairs.collect::<Result<_, _>>().map(SettingsChange::Replace);
        let once = check_once(&repeated, kind, &name);
        let change = once.and(change);
        let (code, reason) = code_and_message(
            change.and_then(|change| alter(shared, kind, &name, &change, request.validate_only)),
        );
        Replaced::default()
            .with_error_code(code)
            .with_error_message(reason)
            .with_resource_type(kind)
            .with_resource_name(name)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

fn code_and_message(result: Result<(), Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (0, None),
        Err((error, reason)) => (error.code(), api::error_message(reason)),
    }
}

fn alter(
    shared: &Shared,
    kind: i8,
    name: &str,
    change: &SettingsChange,
    validate_only: bool,
) -> Result<(), Refusal> {
    match kind {
        TOPIC if name.is_empty() => {
            let reason =
                "a topic name is required: there are no settings for all topics".to_owned();
            Err((ResponseError::InvalidRequest, reason))
        }
        TOPIC if validate_only => {
            let checked = shared.topics.check_alter(name, change);
            checked.map(drop).map_err(topic_refusal)
        }
        TOPIC => shared.topics.alter(name, change).map_err(topic_refusal),
        BROKER => {
            check_node(name)?;
            let reason = "the settings of the broker cannot be altered while it runs: change its \
                          configuration and restart it";
            match change {
                SettingsChange::Each(none) if none.is_empty() => Ok(()),
                SettingsChange::Replace(none) if none.is_empty() => Ok(()),
                _ => Err((ResponseError::InvalidRequest, reason.to_owned())),
            }
        }
        kind => Err(unknown_kind(kind)),
    }
}

/// Returns the name of a setting and the operation on it (`AlterConfigOp.OpType`).
fn operation(config: AlterableConfig) -> Result<(String, SettingOperation), Refusal> {
    let AlterableConfig { name, value, .. } = config;
    let operation = match config.config_operation {
        1 => SettingOperation::Delete,
        0 => SettingOperation::Set(not_null(&name, value)?),
        2 => SettingOperation::Append(not_null(&name, value)?),
        3 => SettingOperation::Subtract(not_null(&name, value)?),
        other => {
            let reason = format!("unknown operation {other}: use 0 to 3");
            return Err((ResponseError::InvalidRequest, reason));
        }
    };
    Ok((name.to_string(), operation))
}

fn not_null(name: &str, value: Option<StrBytes>) -> Result<String, Refusal> {
    let value = value.ok_or_else(|| {
        let reason = format!("{name} needs a value; delete the setting to get its default");
        (ResponseError::InvalidRequest, reason)
    })?;
    Ok(value.to_string())
}

/// Returns the resources that the request names more than once.
fn repeated<'a>(all: impl Iterator<Item = (i8, &'a StrBytes)>) -> HashSet<(i8, StrBytes)> {
    let mut seen = HashSet::new();
    all.filter(|resource| !seen.insert(*resource))
        .map(|(kind, name)| (kind, name.clone()))
        .collect()
}

fn check_once(
    repeated: &HashSet<(i8, StrBytes)>,
    kind: i8,
    name: &StrBytes,
) -> Result<(), Refusal> {
    if repeated.contains(&(kind, name.clone())) {
        let reason = "the request names this resource more than once".to_owned();
        return Err((ResponseError::InvalidRequest, reason));
    }
    Ok(())
}
