//! Before the daemon starts: waiting for the broker, and making the topics that are missing.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
};
use tokio::time::sleep;

use super::{
    Config, Error, blocking,
    client::{Logged, properties},
};

/// How long one request for metadata may take.
const REQUEST: Duration = Duration::from_secs(5);

/// How often a new topic's metadata is looked up, and how long between.
const LOOKUPS: u32 = 100;
const LOOKUP_PAUSE: Duration = Duration::from_millis(50);

/// Waits until a broker answers, `connect_retries` times with `connect_retry_delay` between.
///
/// # Errors
/// [`Error::NoBroker`] after the last try, [`Error::Properties`] at once.
pub async fn wait_for_broker(config: &Config, servers: &str) -> Result<(), Error> {
    let client = probe(config, servers)?;
    let tries = config.connect_retries.saturating_add(1);
    for attempt in 1.. {
        let client = Arc::clone(&client);
        let answer = blocking(move || client.fetch_metadata(None, REQUEST)).await;
        match answer {
            Ok(_) => return Ok(()),
            Err(source) if attempt >= tries => {
                let servers = servers.to_owned();
                return Err(Error::NoBroker {
                    servers,
                    tries,
                    source,
                });
            }
            Err(error) => {
                tracing::warn!(%error, servers, attempt, tries, "no broker yet, trying again");
                sleep(config.connect_retry_delay.unsigned_abs()).await;
            }
        }
    }
    unreachable!("the loop ends by returning")
}

/// Creates the topics that are missing, with as many partitions and replicas as the broker gives by
/// default, and answers how many partitions each has.
///
/// # Errors
/// [`Error::CreateTopic`] if the broker refuses one, [`Error::NoTopic`] if one does not appear.
pub async fn ensure_topics(
    config: &Config,
    servers: &str,
    topics: &[&str],
) -> Result<Vec<i32>, Error> {
    let client = probe(config, servers)?;
    let mut missing = Vec::new();
    for &topic in topics {
        if partitions(&client, topic).await? == 0 {
            missing.push(topic);
        }
    }
    create(config, servers, &missing).await?;
    let mut counts = Vec::with_capacity(topics.len());
    for topic in topics {
        counts.push(wait_for_topic(&client, topic).await?);
    }
    Ok(counts)
}

async fn create(config: &Config, servers: &str, names: &[&str]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<Logged> = properties(config, servers, &[])
        .create_with_context(Logged)
        .map_err(Error::Properties)?;
    // -1 leaves the number to the broker (KIP-464).
    let new: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, -1, TopicReplication::Fixed(-1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(REQUEST));
    let answers = admin.create_topics(&new, &options).await;
    let what = "create a topic";
    for answer in answers.map_err(|source| Error::Request { what, source })? {
        match answer {
            Ok(topic) => tracing::info!(topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::CreateTopic { topic, code }),
        }
    }
    Ok(())
}

async fn wait_for_topic(client: &Probe, name: &str) -> Result<i32, Error> {
    for _ in 0..LOOKUPS {
        match partitions(client, name).await? {
            0 => sleep(LOOKUP_PAUSE).await,
            count => return Ok(count),
        }
    }
    Err(Error::NoTopic(name.to_owned()))
}

/// The number of partitions of a topic, 0 if there is no such topic (yet).
async fn partitions(client: &Probe, name: &str) -> Result<i32, Error> {
    let (client, name) = (Arc::clone(client), name.to_owned());
    let metadata = blocking(move || client.fetch_metadata(Some(&name), REQUEST))
        .await
        .map_err(|source| Error::Request {
            what: "describe a topic",
            source,
        })?;
    let ready = metadata.topics().first().filter(|topic| {
        topic.error().is_none() && topic.partitions().iter().all(|p| p.leader() >= 0)
    });
    let count = ready.map_or(0, |topic| topic.partitions().len());
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// A client that only asks for metadata, and does not create the topics that it asks about.
type Probe = Arc<BaseConsumer<Logged>>;

fn probe(config: &Config, servers: &str) -> Result<Probe, Error> {
    properties(config, servers, &[("allow.auto.create.topics", "false")])
        .create_with_context(Logged)
        .map(Arc::new)
        .map_err(Error::Properties)
}
