//! `IncrementalAlterConfigs` and its forerunner `AlterConfigs`, which replaces all settings of a topic at once.

use std::collections::HashSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Replaced;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{BROKER, TOPIC, check_node, unknown_kind};
use crate::Shared;
use crate::api::{self, Refused, refused};
use crate::topics::{Change, Operation};

/// Changes some settings of each resource; each resource stands for itself, and is changed as a whole or not at all.
pub fn incremental(
    shared: &Shared,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.iter();
    let repeated = repeated(resources.map(|r| (r.resource_type, &r.resource_name)));
    let responses = request.resources.into_iter().map(|resource| {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let operations = resource.configs.into_iter().map(operation);
        let change = operations.collect::<Result<_, _>>().map(Change::Each);
        let once = check_once(&repeated, kind, &name);
        let change = once.and(change);
        let (code, reason) = told(
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

/// Sets what is named for each resource, and nothing else any more.
pub fn replace(shared: &Shared, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let resources = request.resources.iter();
    let repeated = repeated(resources.map(|r| (r.resource_type, &r.resource_name)));
    let responses = request.resources.into_iter().map(|resource| {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let pairs = resource.configs.into_iter().map(|config| {
            let value = not_null(&config.name, config.value)?;
            Ok((config.name.to_string(), value))
        });
        let change = pairs.collect::<Result<_, _>>().map(Change::Replace);
        let once = check_once(&repeated, kind, &name);
        let change = once.and(change);
        let (code, reason) = told(
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

fn told(result: Result<(), Refused>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (0, None),
        Err((error, reason)) => (error.code(), api::reason(reason)),
    }
}

fn alter(
    shared: &Shared,
    kind: i8,
    name: &str,
    change: &Change,
    validate_only: bool,
) -> Result<(), Refused> {
    match kind {
        TOPIC if name.is_empty() => {
            let reason = "name a topic: there are no settings of all topics".to_owned();
            Err((ResponseError::InvalidRequest, reason))
        }
        TOPIC if validate_only => {
            let checked = shared.topics.check_alter(name, change);
            checked.map(drop).map_err(refused)
        }
        TOPIC => shared.topics.alter(name, change).map_err(refused),
        BROKER => {
            check_node(name)?;
            let reason = "the broker's settings cannot be altered while it runs: change its \
                          configuration and start it again";
            match change {
                Change::Each(none) if none.is_empty() => Ok(()),
                Change::Replace(none) if none.is_empty() => Ok(()),
                _ => Err((ResponseError::InvalidRequest, reason.to_owned())),
            }
        }
        kind => Err(unknown_kind(kind)),
    }
}

/// The name and what is asked of it (`AlterConfigOp.OpType`).
fn operation(config: AlterableConfig) -> Result<(String, Operation), Refused> {
    let AlterableConfig { name, value, .. } = config;
    let operation = match config.config_operation {
        1 => Operation::Delete,
        0 => Operation::Set(not_null(&name, value)?),
        2 => Operation::Append(not_null(&name, value)?),
        3 => Operation::Subtract(not_null(&name, value)?),
        other => {
            let reason = format!("there is no operation {other}, only 0 to 3");
            return Err((ResponseError::InvalidRequest, reason));
        }
    };
    Ok((name.to_string(), operation))
}

fn not_null(name: &str, value: Option<StrBytes>) -> Result<String, Refused> {
    let value = value.ok_or_else(|| {
        let reason = format!("{name} needs a value; to have its default, delete it");
        (ResponseError::InvalidRequest, reason)
    })?;
    Ok(value.to_string())
}

/// The resources that come more than once.
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
) -> Result<(), Refused> {
    if repeated.contains(&(kind, name.clone())) {
        let reason = "name each resource once in one request".to_owned();
        return Err((ResponseError::InvalidRequest, reason));
    }
    Ok(())
}
