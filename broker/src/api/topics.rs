//! `CreateTopics`, `CreatePartitions`, `DeleteTopics`.

use std::collections::HashSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};

use super::{NODE, Refused, configs, refused, text};
use crate::Shared;
use crate::ids::TopicId;
use crate::topics::{SettingError, Topic, TopicSettings};

const FIRST_VERSION_OF_IDS: i16 = 6;

/// Makes topics; each stands for itself.
pub fn create(shared: &Shared, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut names = HashSet::new();
    let repeated: HashSet<_> = request
        .topics
        .iter()
        .filter(|topic| !names.insert(&topic.name))
        .map(|topic| topic.name.clone())
        .collect();
    // Whatever is repeated is answered once.
    let mut answered = HashSet::new();
    let asked = request.topics.iter();
    let each = asked.filter(|topic| answered.insert(&topic.name));
    let results = each.map(|topic| {
        let result = if repeated.contains(&topic.name) {
            Err((
                ResponseError::InvalidRequest,
                "named twice in one request".to_owned(),
            ))
        } else {
            create_one(shared, topic, request.validate_only)
        };
        created(&topic.name, result)
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

/// A topic that was made, or would be.
struct Created {
    /// 0 if it was only validated.
    id: TopicId,
    partitions: i32,
    settings: TopicSettings,
}

/// Of several faults the one is told that Kafka tells: of the name, then the settings, then the partitions.
fn create_one(
    shared: &Shared,
    request: &CreatableTopic,
    validate_only: bool,
) -> Result<Created, Refused> {
    shared.topics.check_new(&request.name).map_err(refused)?;
    let settings = settings_asked(request)?;
    let partitions = partitions_asked(request)?;
    if !matches!(request.replication_factor, -1 | 1) {
        let reason = format!(
            "replication factor {}: there is one node",
            request.replication_factor
        );
        return Err((ResponseError::InvalidReplicationFactor, reason));
    }
    if validate_only {
        let partitions = shared.topics.check(&request.name, partitions);
        return Ok(Created {
            id: TopicId(0),
            partitions: partitions.map_err(refused)? as i32,
            settings,
        });
    }
    let topic = shared.topics.create(&request.name, partitions, settings);
    let topic = topic.map_err(refused)?;
    Ok(Created {
        id: topic.id,
        partitions: topic.partitions.len() as i32,
        settings: topic.settings.clone(),
    })
}

fn settings_asked(request: &CreatableTopic) -> Result<TopicSettings, Refused> {
    let pairs = request.configs.iter().map(|config| match &config.value {
        Some(value) => Ok((config.name.as_str(), value.as_str())),
        None => {
            let reason = format!(
                "{} needs a value; to have its default, leave it out",
                &*config.name
            );
            Err((ResponseError::InvalidConfig, reason))
        }
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    let invalid = |error: SettingError| (ResponseError::InvalidConfig, error.to_string());
    TopicSettings::parse(pairs).map_err(invalid)
}

/// `None` for the default number.
fn partitions_asked(request: &CreatableTopic) -> Result<Option<i32>, Refused> {
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
        let reason = format!("assign partitions 0, 1, … to node {} each", NODE.0);
        return Err((ResponseError::InvalidReplicaAssignment, reason));
    }
    Ok(Some(ids.len() as i32))
}

fn created(name: &TopicName, result: Result<Created, Refused>) -> CreatableTopicResult {
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
            .with_error_message(super::reason(reason))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(Some(Vec::new())),
    }
}

/// Adds partitions to topics.
pub fn grow(shared: &Shared, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let result = grow_one(shared, &topic, request.validate_only);
        let response = CreatePartitionsTopicResult::default().with_name(topic.name);
        match result {
            Ok(()) => response.with_error_message(None),
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(super::reason(reason)),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn grow_one(
    shared: &Shared,
    request: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refused> {
    let mut assigned = request.assignments.iter().flatten();
    if !assigned.all(|assignment| assignment.broker_ids == [NODE]) {
        let reason = format!("assign each partition to node {}", NODE.0);
        return Err((ResponseError::InvalidReplicaAssignment, reason));
    }
    if validate_only {
        return shared
            .topics
            .check_grow(&request.name, request.count)
            .map(drop)
            .map_err(refused);
    }
    shared
        .topics
        .grow(&request.name, request.count)
        .map_err(refused)
}

/// Removes topics, their logs, and what groups committed for them.
pub fn delete(shared: &Shared, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let asked: Vec<DeleteTopicState> = if version < FIRST_VERSION_OF_IDS {
        let named = |name| DeleteTopicState::default().with_name(Some(name));
        request.topic_names.into_iter().map(named).collect()
    } else {
        request.topics
    };
    let results = asked.into_iter().map(|asked| {
        let (topic, unknown) = match &asked.name {
            Some(name) => (
                shared.topics.get(name),
                ResponseError::UnknownTopicOrPartition,
            ),
            None => {
                let id = TopicId(asked.topic_id.as_u128());
                (shared.topics.by_id(id), ResponseError::UnknownTopicId)
            }
        };
        let result = match &topic {
            Some(topic) => delete_one(shared, topic),
            None => Err((unknown, "there is no such topic".to_owned())),
        };
        let name = topic.map(|topic| TopicName(text(&topic.name)));
        let response = DeletableTopicResult::default()
            .with_name(name.or(asked.name))
            .with_topic_id(asked.topic_id);
        match result {
            Ok(()) => response,
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(super::reason(reason)),
        }
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

fn delete_one(shared: &Shared, topic: &Topic) -> Result<(), Refused> {
    shared.topics.delete(&topic.name).map_err(refused)?;
    let forgotten = shared.offsets.remove_topic(&topic.name);
    forgotten.map_err(|error| (ResponseError::from(&error), error.to_string()))
}
