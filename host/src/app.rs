//! The daemon: binds its sockets, builds its parts, starts them, and takes them down in order.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    embedded::Broker,
    http,
    kafka::{self, Producer, TopicSpec},
    pipeline::Pipeline,
    plugin::{self, Engine, Handler},
    readiness::Readiness,
    store::Store,
    telemetry::Metrics,
};

/// How long requests and acknowledgements that are under way may take at the end. The pipeline
/// has a bound of its own.
const GRACE: Duration = Duration::from_secs(5);

/// The daemon, bound but not started.
pub struct App {
    config: Config,
    handlers: Vec<Arc<Handler>>,
    http: TcpListener,
    broker: Option<Broker>,
}

/// What runs beside the pipeline, and how to end it.
struct Service {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl App {
    /// Loads the handlers and binds the sockets: what can fail at once does so here.
    ///
    /// # Errors
    /// With what failed, and what to do about it.
    pub async fn bind(config: Config) -> Result<Self> {
        let handlers = load_handlers(&config)?;
        let address = config.http.listen;
        let http = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}; set http.listen to another"))?;
        let broker = match config.kafka.is_embedded() {
            true => Some(Broker::bind(&config.embedded).await?),
            false => None,
        };
        Ok(Self {
            config,
            handlers,
            http,
            broker,
        })
    }

    /// Where HTTP is served.
    ///
    /// # Errors
    /// If the socket is gone.
    pub fn http_address(&self) -> Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    /// Runs until `shutdown` completes or something cannot go on, then drains.
    ///
    /// # Errors
    /// What could not go on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let address = self.http_address()?;
        let Self {
            config,
            handlers,
            http: listener,
            broker,
        } = self;
        let servers = match &broker {
            Some(broker) => broker.local_addr().to_string(),
            None => config.kafka.bootstrap_servers.clone(),
        };
        let mut broker = broker.map(|broker| {
            tracing::info!(address = servers, "the broker inside is listening");
            Service::start("the broker inside", |stop| async move {
                Ok(broker.run(stop.cancelled_owned()).await?)
            })
        });

        let readiness = Readiness::new(&["broker", "group"]);
        let connected = readiness.clone();
        let producer = Producer::new(&config.kafka, &servers, move |up| connected.set("broker", up))?;
        let metrics = Metrics::new();
        let state = http::State {
            producer: producer.clone(),
            store: Store::new(&config.store, metrics.clone()),
            metrics,
            readiness,
        };
        let served = state.clone();
        let mut http = Service::start("HTTP", |stop| async move {
            Ok(http::serve(listener, served, stop.cancelled_owned()).await?)
        });
        tracing::info!(%address, "listening for HTTP");

        let stop = CancellationToken::new();
        let mut shutdown = pin!(shutdown);
        let pipeline = start_pipeline(&config, &servers, handlers, &state, &stop);
        let ended = tokio::select! {
            () = &mut shutdown => Ok(()),
            ended = run_pipeline(pipeline, &stop) => ended,
            ended = http.ended() => ended,
            ended = Service::any_ended(&mut broker) => ended,
        };
        ended
    }
}
