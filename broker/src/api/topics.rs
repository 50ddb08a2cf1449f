//! `CreateTopics`, `CreatePartitions` and `DeleteTopics`.

use std::{collections::HashSet, sync::Arc};

use kafka_protocol::{
    error::ResponseError,
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
        CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
        create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
        create_topics_request::CreatableTopic, create_topics_response::CreatableTopicResult,
        delete_topics_request::DeleteTopicState, delete_topics_response::DeletableTopicResult,
    },
};

use super::{NODE, Refusal, configs, text, topic_refusal};
use crate::{
    ids::TopicId,
    shared::Shared,
    topics::{SettingError, Topic, TopicSettings},
};

const FIRST_VERSION_OF_IDS: i16 = 6;

/// Creates topics; each succeeds or fails by itself.
pub(crate) fn create(shared: &Shared, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut names = HashSet::new();
    let repeated: HashSet<_> = request
        .topics
        .iter()
        .filter(|topic| !names.insert(&topic.name))
        .map(|topic| topic.name.clone())
        .collect();
    // The response has each topic once, even if the request repeats it.
    let mut answered = HashSet::new();
    let requested = request.topics.iter();
    let each = requested.filter(|topic| answered.insert(&topic.name));
    let results = each.map(|topic| {
        let result = if repeated.contains(&topic.name) {
            Err((
                ResponseError::InvalidRequest,
                "the request names this topic twice".to_owned(),
            ))
        } else {
            create_one(shared, topic, request.validate_only)
        };
        created(&topic.name, result)
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

/// A topic that was created, or validated only.
struct Created {
    /// The id; 0 if the topic was only validated.
    id: TopicId,
    partitions: i32,
    settings: TopicSettings,
}

/// Checks name, settings and partitions, in this order, as Kafka does; the first error counts.
fn create_one(
    shared: &Shared,
    request: &CreatableTopic,
    validate_only: bool,
) -> Result<Created, Refusal> {
    shared
        .topics
        .check_new(&request.name)
        .map_err(topic_refusal)?;
    let settings = requested_settings(request)?;
    let partitions = requested_partitions(request)?;
    if !matches!(request.replication_factor, -1 | 1) {
        let reason = format!(
            "replication factor {}, but there is only one node",
            request.replication_factor
        );
        return Err((ResponseError::InvalidReplicationFactor, reason));
    }
    if validate_only {
        let partitions = shared.topics.check(&request.name, partitions);
        return Ok(Created {
            id: TopicId(0),
            partitions: partitions.map_err(topic_refusal)? as i32,
            settings,
        });
    }
    let topic = shared.topics.create(&request.name, partitions, settings);
    let topic = topic.map_err(topic_refusal)?;
    Ok(Created {
        id: topic.id,
        partitions: topic.partitions.len() as i32,
        settings: topic.settings.clone(),
    })
}

fn requested_settings(request: &CreatableTopic) -> Result<TopicSettings, Refusal> {
    let pairs = request.configs.iter().map(|config| match &config.value {
        Some(value) => Ok((config.name.as_str(), value.as_str())),
        None => {
            let reason = format!(
                "{} needs a value; leave the setting out to get its default",
                &*config.name
            );
            Err((ResponseError::InvalidConfig, reason))
        }
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    let invalid = |error: SettingError| (ResponseError::InvalidConfig, error.to_string());
    TopicSettings::parse(pairs).map_err(invalid)
}

/// Returns the number of partitions, or `None` for the default.
fn requested_partitions(request: &CreatableTopic) -> Result<Option<i32>, Refusal> {
    if request.assignments.is_empty() {
        return Ok((request.num_partitions != -1).then_some(request.num_partitions));
    }
    let mut ids: Vec<_> = request
        .assignments
        .iter()
        .map(|a| a.partition_index)
        .collect();
    ids.sort_unstable();
    let counts_up = ids.iter().copied().eq(0..ids.len() as i32);
    let to_this_node = request.assignments.iter().all(|a| a.broker_ids == [NODE]);
    if !counts_up || !to_this_node {
        let reason = format!("assign each of the partitions 0, 1, … to node {}", NODE.0);
        return Err((ResponseError::InvalidReplicaAssignment, reason));
    }
    Ok(Some(ids.len() as i32))
}

fn created(name: &TopicName, result: Result<Created, Refusal>) -> CreatableTopicResult {
    let response = CreatableTopicResult::default().with_name(name.clone());
    match result {
        Ok(topic) => {
            let response = response
                .with_error_message(None)
                .with_num_partitions(topic.partitions)
                .with_replication_factor(1)
                .with_configs(Some(configs::describe::of_new_topic(&topic.settings)));
            match topic.id.to_string().parse() {
                Ok(id) => response.with_topic_id(id),
                Err(_) => response,
            }
        }
        Err((error, reason)) => response
            .with_error_code(error.code())
            .with_error_message(super::error_message(reason))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(Some(Vec::new())),
    }
}

/// Adds partitions to topics.
pub(crate) fn create_partitions(
    shared: &Shared,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let result = create_partitions_of(shared, &topic, request.validate_only);
        let response = CreatePartitionsTopicResult::default().with_name(topic.name);
        match result {
            Ok(()) => response.with_error_message(None),
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(super::error_message(reason)),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn create_partitions_of(
    shared: &Shared,
    request: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let mut assigned = request.assignments.iter().flatten();
    if !assigned.all(|assignment| assignment.broker_ids == [NODE]) {
        let reason = format!("assign each partition to node {}", NODE.0);
        return Err((ResponseError::InvalidReplicaAssignment, reason));
    }
    if validate_only {
        return shared
            .topics
            .check_add_partitions(&request.name, request.count)
            .map(drop)
            .map_err(topic_refusal);
    }
    shared
        .topics
        .add_partitions(&request.name, request.count)
        .map_err(topic_refusal)
}

/// Deletes topics, their logs, and the offsets that groups committed for them.
pub(crate) fn delete(
    shared: &Shared,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let requested: Vec<DeleteTopicState> = if version < FIRST_VERSION_OF_IDS {
        let named = |name| DeleteTopicState::default().with_name(Some(name));
        request.topic_names.into_iter().map(named).collect()
    } else {
        request.topics
    };
    let results = requested.into_iter().map(|requested| {
        let topic = find(shared, &requested);
        let result = match &topic {
            Ok(topic) => delete_one(shared, topic),
            Err(refusal) => Err(refusal.clone()),
        };
        let topic = topic.ok();
        let name = topic.map(|topic| TopicName(text(&topic.name)));
        let response = DeletableTopicResult::default()
            .with_name(name.or(requested.name))
            .with_topic_id(requested.topic_id);
        match result {
            Ok(()) => response,
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(super::error_message(reason)),
        }
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

/// Returns the topic with the name or the id, of which a request must have exactly one.
fn find(shared: &Shared, requested: &DeleteTopicState) -> Result<Arc<Topic>, Refusal> {
    let id = TopicId(requested.topic_id.as_u128());
    let (topic, unknown) = match &requested.name {
        Some(name) if id == TopicId::NONE => (
            shared.topics.get(name),
            ResponseError::UnknownTopicOrPartition,
        ),
        None if id != TopicId::NONE => (shared.topics.by_id(id), ResponseError::UnknownTopicId),
        _ => {
            let reason = "a topic needs either a name or an id".to_owned();
            return Err((ResponseError::InvalidRequest, reason));
        }
    };
    topic.ok_or_else(|| (unknown, "the topic does not exist".to_owned()))
}

fn delete_one(shared: &Shared, topic: &Topic) -> Result<(), Refusal> {
    shared.topics.delete(&topic.name).map_err(topic_refusal)?;
    let forgotten = shared.offsets.remove_topic(&topic.name);
    forgotten.map_err(|error| (ResponseError::from(&error), error.to_string()))
}
