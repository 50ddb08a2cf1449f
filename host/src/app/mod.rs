//! The daemon: binds its sockets, builds its parts, starts them, and takes them down in order.

mod service;

use std::time::Duration;

use anyhow::{Context as _, Result};
use eventos_broker::Broker;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::service::Service;
use crate::{
    assigned::Assigned,
    config::Config,
    dead_letters::DeadLetters,
    http,
    kafka::{self, Cluster, GroupClient, Producer, Refusals},
    peers::{PeerUrl, Peers},
    pipeline::{Output, Pipeline},
    plugin::{Cache, Engine, Registry},
    replay::{Replayer, RewindCommands},
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// How long what is left at the end may take: requests, acknowledgements, the broker inside.
const GRACE: Duration = Duration::from_secs(5);

/// How long the pipeline may: it bounds its own drain, and leaves the group after that.
const DRAIN: Duration = Duration::from_secs(40);

/// The daemon, bound but not started.
pub struct App {
    config: Config,
    handlers: Registry,
    metrics: Metrics,
    http: TcpListener,
    broker: Option<Broker>,
}

impl App {
    /// Loads the handlers and binds the sockets: what can fail at once does so here.
    ///
    /// # Errors
    /// With what failed, and what to do about it.
    pub async fn bind(config: Config) -> Result<Self> {
        let metrics = Metrics::new();
        let engine = Engine::new(Cache::from_config(&config.handlers))?;
        let (dir, own) = (config.handlers.clone(), config.handler.clone());
        let handlers = Registry::open(engine, dir, own, metrics.clone())?;
        let address = config.http.listen;
        let http = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}; set http.listen to another"))?;
        let broker = match config.kafka.is_embedded() {
            true => Some(Broker::start(config.embedded.clone()).await?),
            false => None,
        };
        Ok(Self {
            config,
            handlers,
            metrics,
            http,
            broker,
        })
    }

    /// Runs until `shutdown` completes or a part cannot go on, then drains and takes down.
    ///
    /// # Errors
    /// Of the part that could not go on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let address = self.http.local_addr()?;
        let servers = match &self.broker {
            Some(broker) => broker.address().to_string(),
            None => self.config.kafka.bootstrap_servers.clone(),
        };
        let cluster = Cluster::new(self.config.kafka.clone(), &servers);
        let readiness = Readiness::new(["broker", "group"]);
        if self.config.store.restore {
            readiness.set("restored", false);
        }
        let connected = readiness.clone();
        let producer = Producer::new(&cluster, move |up| {
            match up {
                true => tracing::info!("a broker is connected"),
                false => tracing::warn!("no broker is connected; sending is refused until one is"),
            }
            connected.set("broker", up);
        })?;
        let dead_letters = DeadLetters::new(
            cluster.clone(),
            &self.config.delivery.dead_letter_topic,
            producer.clone(),
        );
        let own_url = self.config.http.advertised(address);
        if own_url.is_none() {
            tracing::info!(
                "without http.advertise, other instances of the group cannot ask this one"
            );
        }
        let (replayer, rewinds) = Replayer::new(cluster.clone());
        let state = http::State {
            producer: producer.clone(),
            store: Store::new(&self.config.store),
            peers: Peers::new(Assigned::default(), own_url.clone()),
            metrics: self.metrics,
            readiness,
            refusals: Refusals::default(),
            handlers: self.handlers.clone(),
            dead_letters,
            replayer,
        };

        let mut broker = Service::start("the broker inside", |stop| run_broker(self.broker, stop));
        let mut http = Service::start("HTTP", {
            let state = state.clone();
            |stop| async move { Ok(http::serve(self.http, state, stop.cancelled_owned()).await?) }
        });
        let mut pipeline = Service::start("the pipeline", |stop| {
            run_pipeline(self.config, cluster, own_url, state, rewinds, stop)
        });
        let mut watch = Service::start("the watch on the handlers", |stop| {
            watch_handlers(self.handlers, stop)
        });
        tracing::info!("listening on http://{address}");

        let ended = tokio::select! {
            () = shutdown => Ok(()),
            ended = broker.ended() => ended,
            ended = http.ended() => ended,
            ended = pipeline.ended() => ended,
            ended = watch.ended() => ended,
        };
        tracing::info!("draining");
        // Nothing more comes in, what is there is done and committed, and only then does the broker go.
        http.stop();
        watch.finish(GRACE).await;
        pipeline.finish(DRAIN).await;
        http.finish(GRACE).await;
        let flushed = tokio::task::spawn_blocking(move || producer.flush(GRACE));
        flushed.await.context("flushing the producer panicked")?;
        broker.finish(GRACE).await;
        ended
    }
}

/// Watches the folder; where that cannot be, the daemon goes on without.
async fn watch_handlers(handlers: Registry, stop: CancellationToken) -> Result<()> {
    if let Some(Err(error)) = stop.run_until_cancelled(handlers.watch()).await {
        tracing::warn!(%error, "the handlers' folder is not watched: a new file takes a restart");
        stop.cancelled().await;
    }
    Ok(())
}

/// Without a broker inside there is nothing to serve, until the stop.
async fn run_broker(broker: Option<Broker>, stop: CancellationToken) -> Result<()> {
    match broker {
        Some(broker) => Ok(broker.run_until(stop.cancelled_owned()).await?),
        None => {
            stop.cancelled_owned().await;
            Ok(())
        }
    }
}

async fn run_pipeline(
    config: Config,
    cluster: Cluster,
    own_url: Option<PeerUrl>,
    state: http::State,
    rewinds: RewindCommands,
    stop: CancellationToken,
) -> Result<()> {
    let connected = connect(&config, &cluster, &state);
    let Some(connected) = stop.run_until_cancelled(connected).await else {
        return Ok(());
    };
    let output = connected?;
    let client_id = own_url.map_or_else(|| "eventos".to_owned(), |url| url.to_string());
    let pipeline = Pipeline {
        cluster,
        client_id: &client_id,
        config: &config.delivery,
        output,
        chains: state.handlers.chain(),
        instance: &instance(&config)?,
        store: state.store,
        restore: config.store.restore.then_some(config.store.max_events),
        metrics: state.metrics,
        readiness: state.readiness,
        refusals: state.refusals,
        assigned: state.peers.assigned().clone(),
        rewinds,
        stop,
    };
    pipeline.start()?.await.context("the pipeline panicked")??;
    Ok(())
}

/// What tells this instance from the others of its group, and from those of other groups. One that keeps it over a restart has what it
/// left open aborted at once; else the broker does so when its time is over.
fn instance(config: &Config) -> Result<String> {
    let named = config.kafka.properties.get("group.instance.id").cloned();
    // The broker inside has one daemon, and its data folder is locked.
    let inside = || config.kafka.is_embedded().then(|| "embedded".to_owned());
    let advertised = || (!config.http.advertise.is_empty()).then(|| config.http.advertise.clone());
    match named.or_else(inside).or_else(advertised) {
        Some(name) => Ok(name),
        None => Ok(format!(
            "{:016x}",
            getrandom::u64().context("no random number")?
        )),
    }
}

/// Waits for the broker, and makes the topics that are missing; answers where that goes which leaves the chain.
async fn connect(
    config: &Config,
    cluster: &Cluster,
    state: &http::State,
) -> Result<Option<Output>> {
    kafka::wait_for_broker(cluster).await?;
    // Not ready for a broker that the producer has yet to find again.
    state.producer.report_connection();
    let mut topics = vec![
        config.kafka.topic.as_str(),
        config.delivery.dead_letter_topic.as_str(),
    ];
    topics.extend(config.output.topic());
    let partitions = kafka::ensure_topics(cluster, &topics, &state.refusals).await?;
    state.producer.set_partitions(partitions[0]);
    state.peers.connect(GroupClient::new(cluster)?);
    let output = config.output.topic().zip(partitions.get(2));
    Ok(output.map(|(topic, &partitions)| Output {
        topic: topic.to_owned(),
        partitions,
    }))
}
