//! A handler: its file compiled and linked once, from which instances are made.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytesize::ByteSize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::{
    Engine, Failure, HandlerConfig, HandlerFile, Instance, OnError, Settings, Stops, host::Limits,
    wasi, world::Pre, wrap,
};
use crate::{
    event::{Answer, Batch},
    telemetry::metrics::HandlerMetrics,
};

/// A handler that was compiled and has shown that it starts. Cheap to share, for every worker
/// makes its own [`Instance`] of it.
pub struct Handler {
    name: String,
    digest: String,
    treatment: Treatment,
    code: Code,
    /// Instances that nobody uses yet.
    spares: Mutex<Vec<Instance>>,
    /// The partitions that it has stopped.
    stops: Stops,
}

/// What becomes of the records that a handler fails on.
#[derive(Clone, Copy, Debug)]
pub struct Treatment {
    /// See [`Settings::on_error`].
    pub on_error: OnError,
    /// See [`Settings::retries`].
    pub retries: u32,
    /// See [`Settings::max_failures`]; none is for ever.
    pub max_failures: Option<NonZeroU32>,
}

/// What runs.
enum Code {
    Component(Pre, Arc<Limits>),
    Native(fn(&Batch) -> Answer),
}

/// Why a file does not become a handler.
#[derive(Debug, thiserror::Error)]
#[error("the handler {} cannot be loaded", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: LoadFault,
}

/// What is wrong with a handler's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is not WebAssembly at all.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// It is a core module, of which no component can be made: it is no handler.
    #[error(
        "it is a core WebAssembly module that exports no `handle`; does it call the macro that exports one?"
    )]
    NoWorld,
    /// It is a core module that calls WASI's first version.
    #[error(
        "it is a core WebAssembly module for WASI preview 1; build it for wasm32-unknown-unknown or wasm32-wasip2"
    )]
    Preview1,
    /// It is a core module, and damaged.
    #[error("it is a core WebAssembly module that cannot be read")]
    Damaged(#[from] wasmparser::BinaryReaderError),
    /// It is a core module that lacks what its world asks for, or imports more than that offers.
    #[error("it is a core WebAssembly module that does not fit the world {world}")]
    Wrap {
        /// The world.
        world: &'static str,
        /// Why not.
        #[source]
        reason: anyhow::Error,
    },
    /// It is no component that the engine can compile.
    #[error("it is not a WebAssembly component that this engine takes")]
    Compile(#[source] wasmtime::Error),
    /// It asks for what no handler may have: these imports.
    #[error(
        "it imports what no handler has: {0}; there are the store, emit, config and log, clocks and random numbers"
    )]
    Imports(String),
    /// It asks for what the host does not offer, or lacks what it must export.
    #[error("it does not fit the world {world}")]
    World {
        /// The world.
        world: &'static str,
        /// Why not.
        #[source]
        reason: wasmtime::Error,
    },
    /// It trapped, or broke a limit, before its first batch.
    #[error("it does not start: {0}")]
    Start(Failure),
    /// Its own `init` answered with an error, most often about its configuration.
    #[error("its init refuses to start: {0}")]
    Init(String),
}

impl Handler {
    /// Reads and compiles a handler, links it, and starts one instance to see that it does.
    ///
    /// # Errors
    /// [`LoadError`], with the file and what is wrong.
    pub fn load(
        engine: &Engine,
        file: &HandlerFile,
        defaults: &Settings,
        config: &HandlerConfig,
        metrics: HandlerMetrics,
    ) -> Result<Self, LoadError> {
        let settings = config.settings(defaults);
        let load = || {
            let bytes = fs::read(&file.path)?;
            let digest = format!("{:x}", Sha256::digest(&bytes));
            let pre = link(engine, &settings, &bytes, &digest)?;
            let limits = Arc::new(limits(&file.name, &settings, config, metrics));
            let handler = Self::of(&file.name, digest, &settings, Code::Component(pre, limits));
            handler.prepare(1)?;
            Ok(handler)
        };
        load().map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })
    }

    /// A function of this program in the place of a component, with neither sandbox nor limits:
    /// what a component is measured against.
    #[must_use]
    pub fn native(name: &str, handle: fn(&Batch) -> Answer) -> Self {
        let digest = "native".to_owned();
        Self::of(name, digest, &Settings::default(), Code::Native(handle))
    }

    fn of(name: &str, digest: String, settings: &Settings, code: Code) -> Self {
        Self {
            name: name.to_owned(),
            digest,
            treatment: Treatment {
                on_error: settings.on_error,
                retries: settings.retries,
                max_failures: NonZeroU32::new(settings.max_failures),
            },
            code,
            spares: Mutex::default(),
            stops: Stops::default(),
        }
    }

    /// Sees to it that so many instances are ready, so that those who call the handler first need not start them.
    ///
    /// # Errors
    /// [`LoadFault::Start`] or [`LoadFault::Init`].
    pub fn prepare(&self, instances: usize) -> Result<(), LoadFault> {
        while self.spares().len() < instances {
            let instance = self.start()?;
            self.spares().push(instance);
        }
        Ok(())
    }

    /// An instance with nothing of what others have in memory: one that is ready, or a new one.
    ///
    /// # Errors
    /// [`LoadFault::Start`] or [`LoadFault::Init`].
    pub fn instance(&self) -> Result<Instance, LoadFault> {
        let ready = self.spares().pop();
        ready.map_or_else(|| self.start(), Ok)
    }

    fn start(&self) -> Result<Instance, LoadFault> {
        match &self.code {
            Code::Component(pre, limits) => Instance::start(pre, Arc::clone(limits)),
            Code::Native(handle) => Ok(Instance::native(*handle)),
        }
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Instance>> {
        // Each change to it is one push or pop, so after a panic it is still whole.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file's name without a leading "NN-" and ".wasm".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What becomes of the records that it fails on.
    #[must_use]
    pub fn treatment(&self) -> Treatment {
        self.treatment
    }

    /// The partitions that it has stopped, and why.
    #[must_use]
    pub fn stops(&self) -> &Stops {
        &self.stops
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, digest) = (&self.name, &self.digest);
        write!(f, "Handler({name}, {digest})")
    }
}

fn link(
    engine: &Engine,
    settings: &Settings,
    bytes: &[u8],
    digest: &str,
) -> Result<Pre, LoadFault> {
    let runtime = engine.with_stack(settings.stack.as_u64());
    let runtime = runtime.map_err(LoadFault::Compile)?;
    let compile = || {
        tracing::debug!(digest, "compiling a handler");
        let component = wrap::component(bytes)?;
        Component::from_binary(&runtime.engine, &component).map_err(LoadFault::Compile)
    };
    let component = match engine.cache() {
        Some(cache) => cache.component(&runtime.engine, digest, compile)?,
        None => compile()?,
    };
    let (linker, refused) = wasi::link(&runtime, &component).map_err(LoadFault::Compile)?;
    if !refused.is_empty() {
        return Err(LoadFault::Imports(refused.join(", ")));
    }
    Pre::link(&linker, &component)
}

fn limits(
    name: &str,
    settings: &Settings,
    config: &HandlerConfig,
    metrics: HandlerMetrics,
) -> Limits {
    let size = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    Limits {
        handler: name.to_owned(),
        memory: size(settings.memory),
        timeout: settings.timeout.unsigned_abs(),
        output: size(settings.output),
        stack: settings.stack.as_u64(),
        metrics,
        config: texts(&config.config),
        produce: config.produce.clone(),
    }
}

fn texts(config: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let entries = config.iter();
    entries
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}
