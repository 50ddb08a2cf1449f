//! Before the daemon starts: waiting for the broker, and making the topics that are missing.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    metadata::MetadataTopic,
    types::RDKafkaRespErr,
};
use tokio::time::sleep;

use super::{
    Cluster, Error, blocking,
    client::{Logged, Watched},
    permissions::{Permission, Refusals},
};

/// How long one request for metadata may take.
const REQUEST: Duration = Duration::from_secs(5);

/// How many events of a client are looked at: more than one try to connect can bring about.
const EVENTS: u32 = 100;

/// How often a new topic's metadata is looked up, and how long between.
const LOOKUPS: u32 = 100;
const LOOKUP_PAUSE: Duration = Duration::from_millis(50);

/// Waits until a broker answers, `connect_retries` times with `connect_retry_delay` between.
///
/// # Errors
/// [`Error::NoBroker`] after the last try, [`Error::Properties`] at once.
pub async fn wait_for_broker(cluster: &Cluster) -> Result<(), Error> {
    let (config, servers) = (cluster.config(), cluster.servers());
    let client = probe(cluster)?;
    let tries = config.connect_retries.saturating_add(1);
    for attempt in 1.. {
        let asked = Arc::clone(&client);
        let answer = blocking(move || {
            let answer = asked.fetch_metadata(None, REQUEST);
            answer.map_err(|source| (source, shut_out(&asked)))
        });
        let Err((source, shut_out)) = answer.await else {
            return Ok(());
        };
        if attempt >= tries {
            let servers = servers.to_owned();
            return Err(match shut_out {
                Some(why) => Error::NotLetIn { servers, why },
                None => Error::NoBroker {
                    servers,
                    tries,
                    source,
                },
            });
        }
        match shut_out {
            Some(why) => {
                tracing::warn!(why, servers, attempt, tries, "not let in, trying again");
            }
            None => {
                tracing::warn!(error = %source, servers, attempt, tries, "no broker yet, trying again");
            }
        }
        sleep(config.connect_retry_delay.unsigned_abs()).await;
    }
    unreachable!("the loop ends by returning")
}

/// Whether a broker refused to let this client in since this was asked last, and why.
fn shut_out(client: &Probe) -> Option<String> {
    // The client tells its context what happened to its connections when it is polled; it consumes nothing.
    for _ in 0..EVENTS {
        client.poll(Duration::ZERO);
    }
    client.context().shut_out()
}

/// Creates the topics that are missing, with as many partitions and replicas as the broker gives by
/// default, and answers how many partitions each has. What is not permitted is tried `connect_retries` times, with
/// `connect_retry_delay` between.
///
/// # Errors
/// [`Error::NotPermitted`], [`Error::CreateTopic`] if the broker refuses one for another reason, [`Error::NoTopic`] if
/// one does not appear.
pub async fn ensure_topics(
    cluster: &Cluster,
    topics: &[&str],
    refusals: &Refusals,
) -> Result<Vec<i32>, Error> {
    let config = cluster.config();
    let client = probe(cluster)?;
    let mut lacking = None;
    for retries_left in (0..=config.connect_retries).rev() {
        let tried = try_to_ensure(&client, cluster, topics).await;
        let still = match &tried {
            Err(Error::NotPermitted(permission)) => Some(permission.clone()),
            _ => None,
        };
        if let Some(permission) = lacking.filter(|before| still.as_ref() != Some(before)) {
            refusals.granted(&permission);
        }
        lacking = still;
        match tried {
            Err(Error::NotPermitted(permission)) if retries_left > 0 => {
                refusals.refused(permission, "nothing is consumed until then");
                sleep(config.connect_retry_delay.unsigned_abs()).await;
            }
            ended => return ended,
        }
    }
    unreachable!("the loop ends by returning")
}

async fn try_to_ensure(
    client: &Probe,
    cluster: &Cluster,
    topics: &[&str],
) -> Result<Vec<i32>, Error> {
    let mut missing = Vec::new();
    for &topic in topics {
        if partitions(client, topic).await? == 0 {
            missing.push(topic);
        }
    }
    create(cluster, &missing).await?;
    let mut counts = Vec::with_capacity(topics.len());
    for topic in topics {
        counts.push(wait_for_topic(client, topic).await?);
    }
    Ok(counts)
}

async fn create(cluster: &Cluster, names: &[&str]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<Logged> = cluster
        .properties(&[])
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
            Err((topic, RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                return Err(Error::NotPermitted(Permission::Create(topic)));
            }
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
    let (client, asked) = (Arc::clone(client), name.to_owned());
    let metadata = blocking(move || client.fetch_metadata(Some(&asked), REQUEST))
        .await
        .map_err(|source| Error::Request {
            what: "describe a topic",
            source,
        })?;
    let topic = metadata.topics().first();
    let error = topic.and_then(MetadataTopic::error);
    if error == Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        return Err(Error::NotPermitted(Permission::Describe(name.to_owned())));
    }
    let ready = topic.filter(|topic| {
        topic.error().is_none() && topic.partitions().iter().all(|p| p.leader() >= 0)
    });
    let count = ready.map_or(0, |topic| topic.partitions().len());
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// A client that only asks for metadata, and does not create the topics that it asks about.
type Probe = Arc<BaseConsumer<Watched>>;

fn probe(cluster: &Cluster) -> Result<Probe, Error> {
    cluster
        .properties(&[("allow.auto.create.topics", "false")])
        .create_with_context(Watched::default())
        .map(Arc::new)
        .map_err(Error::Properties)
}
