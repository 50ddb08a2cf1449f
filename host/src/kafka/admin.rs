//! Preparations at startup: waiting for the broker, and creating missing topics.

use std::{sync::Arc, time::Duration};

use backon::{ConstantBuilder, Retryable as _};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataTopic,
    types::RDKafkaRespErr,
};
use tokio::time::sleep;

use super::{
    Cluster, Config, Error, blocking,
    client::{Logged, Watched},
    detached::Detached,
    permissions::{Permission, Refusals},
};

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of client events that are processed at a time. One attempt to connect causes far fewer.
const MAX_EVENTS: u32 = 100;

/// How often the metadata of a new topic is requested, and the pause between two requests.
const LOOKUPS: u32 = 100;
const LOOKUP_PAUSE: Duration = Duration::from_millis(50);

/// Waits until a broker responds. After the first attempt, `connect_retries` more are made, `connect_retry_delay`
/// apart.
///
/// # Errors
/// [`Error::NoBroker`] or [`Error::NotLetIn`] after the last attempt, [`Error::Properties`] at once.
pub async fn wait_for_broker(cluster: &Cluster) -> Result<(), Error> {
    let (config, servers) = (cluster.config(), cluster.servers());
    let client = probe(cluster)?;
    let tries = config.connect_retries.saturating_add(1);
    let mut attempt = 0;
    // librdkafka reports why a broker rejects a connection once, and not again for every attempt.
    let mut rejected: Option<String> = None;
    let connect = || connect(Arc::clone(&client));
    let connected = connect
        .retry(schedule(config))
        .sleep(sleep)
        .notify(|(error, refusal), _| {
            attempt += 1;
            if let Some(reason) = refusal {
                rejected.get_or_insert_with(|| reason.clone());
            }
            match &rejected {
                Some(reason) => tracing::warn!(
                    servers,
                    attempt,
                    tries,
                    reason,
                    "the broker rejected the connection; trying again"
                ),
                None => tracing::warn!(
                    %error,
                    servers,
                    attempt,
                    tries,
                    "no broker responds yet; trying again"
                ),
            }
        })
        .await;
    connected.map_err(|(source, refusal)| {
        let servers = servers.to_owned();
        match refusal.or(rejected) {
            Some(why) => Error::NotLetIn { servers, why },
            None => Error::NoBroker {
                servers,
                tries,
                source,
            },
        }
    })
}

/// Requests metadata once. An error comes with the reason why a broker rejected the connection, if one did.
async fn connect(client: Probe) -> Result<(), (KafkaError, Option<String>)> {
    blocking(move || match client.fetch_metadata(None, REQUEST_TIMEOUT) {
        Ok(_) => Ok(()),
        Err(error) => Err((error, take_refusal(&client))),
    })
    .await
}

/// Returns why a broker rejected the connection since the last call, if one did.
fn take_refusal(client: &BaseConsumer<Watched>) -> Option<String> {
    // Polling passes the events of its connections to the context of the client. It is subscribed to nothing.
    for _ in 0..MAX_EVENTS {
        client.poll(Duration::ZERO);
    }
    client.context().take_refusal()
}

/// The schedule by which `[kafka]` has requests to the broker repeated.
fn schedule(config: &Config) -> ConstantBuilder {
    ConstantBuilder::new()
        .with_delay(config.connect_retry_delay.unsigned_abs())
        .with_max_times(config.connect_retries as usize)
}

/// Creates the topics that are missing, with the broker's default number of partitions and replicas, and returns the
/// number of partitions of each topic. A lack of permission, and a broker that cannot answer at the moment, are retried
/// `connect_retries` times, `connect_retry_delay` apart.
///
/// # Errors
/// [`Error::NotPermitted`], [`Error::TopicName`], [`Error::CreateTopic`] if the broker rejects a topic for another reason,
/// [`Error::NoTopic`] if one does not appear, or [`Error::Request`].
pub async fn ensure_topics(
    cluster: &Cluster,
    topics: &[&str],
    refusals: &Refusals,
) -> Result<Vec<i32>, Error> {
    let client = probe(cluster)?;
    let mut lacking: Option<Permission> = None;
    let ensure = || try_to_ensure(&client, cluster, topics);
    let counts = ensure
        .retry(schedule(cluster.config()))
        .sleep(sleep)
        .when(|error| {
            let Error::NotPermitted(permission) = error else {
                return may_succeed_later(error);
            };
            match lacking.replace(permission.clone()) {
                Some(previous) if previous != *permission => refusals.granted(&previous),
                _ => {}
            }
            true
        })
        .notify(|error, _| {
            if let Error::NotPermitted(permission) = error {
                refusals.refused(permission.clone(), "nothing is consumed until then");
            } else {
                let error = error.in_one_line();
                tracing::warn!(error, "cannot prepare the topics yet; trying again");
            }
        })
        .await;
    if let Some(permission) = lacking
        && !matches!(counts, Err(Error::NotPermitted(_)))
    {
        refusals.granted(&permission);
    }
    counts
}

/// Returns whether topics may be there after another try: a broker that has just answered may be restarting, or one of the
/// brokers that a new topic needs.
fn may_succeed_later(error: &Error) -> bool {
    use RDKafkaErrorCode as Code;
    match error {
        Error::Request { .. } | Error::NoTopic(_) => true,
        Error::CreateTopic { code, .. } => matches!(
            code,
            Code::InvalidReplicationFactor
                | Code::NotController
                | Code::RequestTimedOut
                | Code::OperationTimedOut
                | Code::BrokerNotAvailable
                | Code::LeaderNotAvailable
        ),
        _ => false,
    }
}

async fn try_to_ensure(
    client: &Probe,
    cluster: &Cluster,
    topics: &[&str],
) -> Result<Vec<i32>, Error> {
    let mut missing = Vec::new();
    for &topic in topics {
        if partition_count(client, topic).await? == 0 {
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
    let admin = cluster.properties(&[]).create_with_context(Logged);
    let admin: Detached<AdminClient<_>> = Detached::new(admin.map_err(Error::Properties)?);
    // -1 leaves the number to the broker (KIP-464).
    let new: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, -1, TopicReplication::Fixed(-1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let created = admin.create_topics(&new, &options).await;
    let what = "create a topic";
    for topic in created.map_err(|source| Error::Request { what, source })? {
        match topic {
            Ok(topic) => tracing::info!(topic, "created a topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                return Err(Error::NotPermitted(Permission::Create(topic)));
            }
            Err((topic, RDKafkaErrorCode::InvalidTopic)) => return Err(Error::TopicName(topic)),
            Err((topic, code)) => return Err(Error::CreateTopic { topic, code }),
        }
    }
    Ok(())
}

async fn wait_for_topic(client: &Probe, name: &str) -> Result<i32, Error> {
    for _ in 0..LOOKUPS {
        match partition_count(client, name).await? {
            0 => sleep(LOOKUP_PAUSE).await,
            count => return Ok(count),
        }
    }
    Err(Error::NoTopic(name.to_owned()))
}

/// Returns the number of partitions of a topic: 0 if the topic does not exist, or one of its partitions has no leader
/// yet.
async fn partition_count(client: &Probe, name: &str) -> Result<i32, Error> {
    let (error, count) = describe(client, name, |topic| {
        let partitions = topic.partitions();
        let is_led = partitions.iter().all(|partition| partition.leader() >= 0);
        let count = if is_led { partitions.len() } else { 0 };
        (topic.error(), count)
    })
    .await?;
    match error {
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => {
            Err(Error::NotPermitted(Permission::Describe(name.to_owned())))
        }
        Some(_) => Ok(0),
        None => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
    }
}

/// Requests the metadata of a topic, and returns what `read` finds in it.
async fn describe<T>(
    client: &Probe,
    name: &str,
    read: impl FnOnce(&MetadataTopic) -> T,
) -> Result<T, Error> {
    let what = "describe a topic";
    let failed = |source| Error::Request { what, source };
    let (client, topic) = (Arc::clone(client), name.to_owned());
    let metadata = blocking(move || client.fetch_metadata(Some(&topic), REQUEST_TIMEOUT));
    let metadata = metadata.await.map_err(failed)?;
    match metadata.topics() {
        [topic] => Ok(read(topic)),
        _ => Err(failed(KafkaError::MetadataFetch(RDKafkaErrorCode::NoEnt))),
    }
}

/// Asks whether topics exist, and creates them.
pub(super) struct TopicAdmin {
    cluster: Cluster,
    client: Probe,
}

impl TopicAdmin {
    pub(super) fn new(cluster: &Cluster) -> Result<Self, Error> {
        Ok(Self {
            cluster: cluster.clone(),
            client: probe(cluster)?,
        })
    }

    /// Returns the number of partitions of a topic, or none if it does not exist. 0 stands for an unknown number: the
    /// broker does not permit to describe the topic, or the topic is being created.
    pub(super) async fn partitions(&self, name: &str) -> Result<Option<i32>, Error> {
        let described = describe(&self.client, name, |topic| {
            (topic.error(), topic.partitions().len())
        });
        Ok(match described.await? {
            (Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), _) => None,
            (Some(_), _) => Some(0),
            (None, count) => Some(i32::try_from(count).unwrap_or(i32::MAX)),
        })
    }

    /// Creates a topic, and waits until its partitions have leaders.
    pub(super) async fn create(&self, name: &str) -> Result<(), Error> {
        create(&self.cluster, &[name]).await?;
        wait_for_topic(&self.client, name).await.map(drop)
    }
}

/// A client that only requests metadata, and does not create the topics that it asks about.
type Probe = Arc<Detached<BaseConsumer<Watched>>>;

fn probe(cluster: &Cluster) -> Result<Probe, Error> {
    cluster
        .properties(&[("allow.auto.create.topics", "false")])
        .create_with_context(Watched::default())
        .map(|client| Arc::new(Detached::new(client)))
        .map_err(Error::Properties)
}
