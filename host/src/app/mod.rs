//! The daemon: binds its sockets, builds its parts, starts them, and stops them in order.

mod service;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use eventos_broker::Broker;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use self::service::Service;
use crate::{
    audit::AuditLog,
    config::Config,
    dead_letters::DeadLetters,
    event::AssignedPartitions,
    http,
    kafka::{
        self, Cluster, GroupClient, PartitionCount, ProducedTopics, Producer, Refusals, TopicLimits,
    },
    peers::{PeerUrl, Peers},
    pipeline::{Output, Pipeline},
    plugin::{Cache, ChainReceiver, Compiler, CompilerProgram, Engine, Registry},
    replay::{Replayer, RewindCommands},
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
    tls::Certificates,
};

/// How long each part but the pipeline may take to stop: requests, acknowledgements, the built-in broker.
const GRACE: Duration = Duration::from_secs(5);

/// How long the pipeline may take to stop. It limits its own drain, and leaves the group after that.
const DRAIN: Duration = Duration::from_secs(40);

/// The daemon, bound but not started.
pub struct App {
    config: Config,
    handlers: Registry,
    metrics: Metrics,
    certificates: Certificates,
    http: TcpListener,
    broker: Option<Broker>,
}

/// The parts that the pipeline is built from, once the broker responds.
struct PipelineParts {
    config: Config,
    cluster: Cluster,
    own_url: Option<PeerUrl>,
    chains: ChainReceiver,
    store: Store,
    metrics: Metrics,
    readiness: Readiness,
    refusals: Refusals,
    limits: TopicLimits,
    topics: ProducedTopics,
    producer: Producer,
    peers: Peers,
    assigned: watch::Sender<Arc<AssignedPartitions>>,
    rewinds: RewindCommands,
}

impl App {
    /// Finds the handlers, which are loaded later and compiled with `program`, and binds the sockets. Whatever can fail at once does so here.
    ///
    /// # Errors
    /// What failed, and what to do about it.
    pub async fn bind(config: Config, program: CompilerProgram) -> Result<Self> {
        let certificates = Certificates::load(&config.http.tls)?;
        certificates.log();
        let metrics = Metrics::new();
        let compiler = Compiler::OwnProcess(program, config.handlers.compile_memory);
        let engine = Engine::new(Cache::from_config(&config.handlers), compiler)?;
        let (dir, own) = (config.handlers.clone(), config.handler.clone());
        let group = &config.kafka.group_id;
        let handlers = Registry::open(engine, dir, own, group, metrics.clone())?;
        let address = config.http.listen;
        let http = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; set http.listen to another address")
        })?;
        let broker = match config.kafka.is_embedded() {
            true => Some(start_broker(&config).await?),
            false => None,
        };
        Ok(Self {
            config,
            handlers,
            metrics,
            certificates,
            http,
            broker,
        })
    }

    /// Runs until `shutdown` completes or a part fails, then drains and stops all parts.
    ///
    /// # Errors
    /// The error of the part that failed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let address = self.http.local_addr()?;
        let servers = match &self.broker {
            Some(broker) => broker.address().to_string(),
            None => self.config.kafka.bootstrap_servers.clone(),
        };
        let cluster = Cluster::new(self.config.kafka.clone(), &servers);
        let scheme = self.config.http.tls.scheme();
        let (audit, audit_writer) = AuditLog::new(&cluster);
        let (state, pipeline) = build(&self, &cluster, address, audit)?;
        let producer = state.producer.clone();
        let http_config = self.config.http.clone();

        let mut broker =
            Service::start("the built-in broker", |stop| run_broker(self.broker, stop));
        let mut http = Service::start("the HTTP server", |stop| async move {
            http::serve(self.http, &http_config, state, stop.cancelled_owned()).await;
            Ok(())
        });
        let audit = Service::start("the audit trail", |stop| async move {
            audit_writer.run(stop).await;
            Ok(())
        });
        let mut pipeline = Service::start("the pipeline", |stop| run_pipeline(pipeline, stop));
        let mut watch = Service::start("the watch on the drop-in folder", |stop| {
            watch_handlers(self.handlers, stop)
        });
        tracing::info!("listening on {scheme}://{address}");

        let ended = tokio::select! {
            () = shutdown => Ok(()),
            ended = broker.ended() => ended,
            ended = http.ended() => ended,
            ended = pipeline.ended() => ended,
            ended = watch.ended() => ended,
        };
        tracing::info!("draining");
        // First nothing more comes in, then what is there is finished and committed, and only then does the broker stop.
        http.stop();
        watch.finish(GRACE).await;
        pipeline.finish(DRAIN).await;
        http.finish(GRACE).await;
        audit.finish(GRACE).await;
        let flushed = tokio::task::spawn_blocking(move || producer.flush(GRACE));
        // The threads for blocking calls may all be busy.
        match timeout(2 * GRACE, flushed).await {
            Ok(flushed) => flushed.context("flushing the producer panicked")?,
            Err(_) => tracing::warn!("the producer was not flushed: all blocking threads are busy"),
        }
        broker.finish(GRACE).await;
        ended
    }
}

/// Builds what the HTTP server and the pipeline are made of, and share in part.
fn build(
    app: &App,
    cluster: &Cluster,
    listening: SocketAddr,
    audit: AuditLog,
) -> Result<(http::State, PipelineParts)> {
    let config = &app.config;
    let own_url = config.http.advertised(listening);
    let readiness = Readiness::new(["broker", "group"]);
    if config.store.restore {
        readiness.set("restored", false);
    }
    let limits = TopicLimits::new(cluster);
    let producer = make_producer(cluster, &limits, readiness.clone())?;
    report_unreachable(own_url.as_ref(), &app.certificates);
    report_clear_text(&config.http, listening);
    let (assigned, assignments) = watch::channel(Arc::default());
    let (replayer, rewinds) = Replayer::new(cluster.clone());
    let state = http::State {
        producer: producer.clone(),
        evento: config.evento,
        store: Store::new(&config.store),
        peers: Peers::new(
            &config.peers,
            assignments,
            own_url.clone(),
            listening.port(),
            app.certificates.clone(),
        ),
        metrics: app.metrics.clone(),
        readiness,
        refusals: Refusals::default(),
        topics: ProducedTopics::default(),
        handlers: app.handlers.clone(),
        dead_letters: DeadLetters::new(
            cluster.clone(),
            &config.delivery.dead_letter_topic,
            producer.clone(),
        ),
        replayer,
        certificates: app.certificates.clone(),
        audit,
    };
    let parts = PipelineParts {
        config: config.clone(),
        cluster: cluster.clone(),
        own_url,
        chains: app.handlers.chain(),
        store: state.store.clone(),
        metrics: state.metrics.clone(),
        readiness: state.readiness.clone(),
        refusals: state.refusals.clone(),
        limits,
        topics: state.topics.clone(),
        producer,
        peers: state.peers.clone(),
        assigned,
        rewinds,
    };
    Ok((state, parts))
}

/// Makes the producer for `/send`, which reports whether a broker is connected.
fn make_producer(
    cluster: &Cluster,
    limits: &TopicLimits,
    readiness: Readiness,
) -> Result<Producer, kafka::Error> {
    Producer::new(cluster, limits, move |up| {
        match up {
            true => tracing::info!("connected to a broker"),
            false => tracing::warn!("no broker is connected; sending is refused until one is"),
        }
        readiness.set("broker", up);
    })
}

/// Logs why other instances cannot ask this one, if they cannot.
fn report_unreachable(own_url: Option<&PeerUrl>, certificates: &Certificates) {
    match own_url {
        None => tracing::info!(
            "http.advertise is not set: other instances of the group cannot ask this one"
        ),
        Some(url) if !certificates.are_valid_for(url.host()) => tracing::warn!(
            %url,
            "the certificate in http.tls.certificate is not for this host, so clients and other instances refuse it there; \
             issue one for the host, or set http.advertise"
        ),
        Some(_) => {}
    }
}

/// Warns if keys pass the network in clear text. They are needed on any other address than loopback.
fn report_clear_text(config: &http::Config, listening: SocketAddr) {
    let is_local = listening.ip().to_canonical().is_loopback();
    if !is_local && !config.tls.is_enabled() {
        tracing::warn!(
            "clients send their keys and Eventos to {listening} without encryption: set http.tls.certificate and \
             http.tls.key, or listen on 127.0.0.1 behind a proxy that serves HTTPS"
        );
    }
}

/// Loads the handlers and watches the drop-in folder.
async fn watch_handlers(handlers: Registry, stop: CancellationToken) -> Result<()> {
    stop.run_until_cancelled(handlers.watch()).await;
    Ok(())
}

/// Starts the built-in broker.
async fn start_broker(config: &Config) -> Result<Broker> {
    let broker = Broker::start(config.embedded.clone()).await?;
    // The broker keeps members over a restart. Those of this group ended with the earlier process, and without this, its
    // partitions would wait for their session timeout after a kill.
    broker.remove_members(&config.kafka.group_id);
    Ok(broker)
}

/// Runs the built-in broker. Without one this only waits for the stop.
async fn run_broker(broker: Option<Broker>, stop: CancellationToken) -> Result<()> {
    match broker {
        Some(broker) => Ok(broker.run_until(stop.cancelled_owned()).await?),
        None => {
            stop.cancelled_owned().await;
            Ok(())
        }
    }
}

async fn run_pipeline(parts: PipelineParts, stop: CancellationToken) -> Result<()> {
    let Some(connected) = stop.run_until_cancelled(connect(&parts)).await else {
        return Ok(());
    };
    let output = connected?;
    let dead_letters = parts.config.delivery.dead_letter_topic.clone();
    let produced = output
        .iter()
        .map(|output| (output.topic.clone(), output.partitions.clone()));
    // The key of a dead letter chooses its partition.
    let produced: Vec<_> = produced
        .chain([(dead_letters, PartitionCount::new(1))])
        .collect();
    let (topics, watched_cluster) = (parts.topics.clone(), parts.cluster.clone());
    let client_id = parts.own_url.as_ref().map(ToString::to_string);
    let config = &parts.config;
    let pipeline = Pipeline {
        cluster: parts.cluster,
        client_id: client_id.unwrap_or_else(|| "eventos".to_owned()),
        config: config.delivery.clone(),
        evento: config.evento,
        output,
        chains: parts.chains,
        instance: instance_name(config)?,
        store: parts.store,
        restore: config.store.restore.then_some(config.store.max_events),
        metrics: parts.metrics,
        readiness: parts.readiness,
        refusals: parts.refusals,
        limits: parts.limits,
        topics: parts.topics.clone(),
        assigned: Arc::new(parts.assigned),
        rewinds: parts.rewinds,
        stop,
    };
    let running = pipeline.start()?;
    tokio::select! {
        ended = running => Ok(ended.context("the pipeline panicked")??),
        watched = topics.run(&watched_cluster, &produced) => Ok(watched?),
    }
}

/// Returns a name for this instance that no other instance has, in its group or in others. If it is the same
/// after a restart, the transactions that the earlier run left open are aborted at once, and otherwise by the broker after
/// their timeout.
fn instance_name(config: &Config) -> Result<String> {
    let set = config.kafka.properties.get("group.instance.id").cloned();
    // The built-in broker has a single daemon, since its data folder is locked.
    let embedded = || config.kafka.is_embedded().then(|| "embedded".to_owned());
    let advertised = || (!config.http.advertise.is_empty()).then(|| config.http.advertise.clone());
    match set.or_else(embedded).or_else(advertised) {
        Some(name) => Ok(name),
        None => Ok(format!(
            "{:016x}",
            getrandom::u64().context("the system has no random numbers")?
        )),
    }
}

/// Waits for the broker, and creates the topics that are missing. Returns the output topic, if there is one.
async fn connect(parts: &PipelineParts) -> Result<Option<Output>> {
    let PipelineParts {
        config, cluster, ..
    } = parts;
    kafka::wait_for_broker(cluster).await?;
    // The producer may have lost the broker that was found here: then the daemon is not ready yet.
    parts.producer.report_connection();
    let consumed = config.kafka.topic.as_str();
    let dead_letters = config.delivery.dead_letter_topic.as_str();
    let output = config.output.topic();
    let mut topics = vec![consumed, dead_letters];
    topics.extend(output);
    let partitions = kafka::ensure_topics(cluster, &topics, &parts.refusals).await?;
    let counts: Vec<_> = topics.iter().copied().zip(partitions).collect();
    let count_of = |topic: &str| {
        let found = counts.iter().find(|(name, _)| *name == topic);
        found.map(|(_, partitions)| *partitions)
    };
    if let Some(partitions) = count_of(consumed) {
        parts.limits.learn(&topics).await;
        parts.producer.set_topic(partitions);
    }
    parts.peers.connect(GroupClient::new(cluster)?);
    Ok(output.and_then(|topic| {
        Some(Output {
            topic: topic.to_owned(),
            partitions: PartitionCount::new(count_of(topic)?),
        })
    }))
}
