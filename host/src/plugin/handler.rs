//! A handler: its file, compiled and linked once, from which instances are created.

use std::{
    collections::BTreeMap, fmt, io, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration,
};

use bytesize::ByteSize;
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    Engine, Excess, HaltedPartitions, HandlerConfig, HandlerFile, HandlerSource, Instance,
    MAX_FILE, OnError, SameName, Settings, epoch_clock::EpochClock, host::Limits,
    log_meter::LogMeter, wasi, world::Pre, wrap,
};
use crate::{
    event::{Batch, DeadLetterReason, HandlerOutput},
    telemetry::metrics::HandlerMetrics,
};

/// A handler that compiled and started successfully. It is shared by the workers, each of which creates its own
/// [`Instance`].
pub struct Handler {
    name: String,
    digest: String,
    failure_policy: FailurePolicy,
    code: Code,
    /// Instances that are ready for use.
    spares: Mutex<Vec<Instance>>,
    /// The partitions that this handler has halted.
    halted: HaltedPartitions,
}

/// What happens to the records that a handler fails on.
#[derive(Clone, Copy, Debug)]
pub struct FailurePolicy {
    /// See [`Settings::timeout`].
    pub timeout: Duration,
    /// See [`Settings::on_error`].
    pub on_error: OnError,
    /// See [`Settings::retries`].
    pub retries: u32,
    /// See [`Settings::max_failures`]; `None` never halts a partition.
    pub max_failures: Option<NonZeroU32>,
}

/// The code of a handler.
enum Code {
    Component(Pre, Arc<Limits>),
    Native(fn(&Batch) -> HandlerOutput),
}

/// The reason why a file cannot be loaded as a handler.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the handler {}", path.display())]
pub struct LoadError {
    /// Path of the file.
    pub path: PathBuf,
    /// The underlying fault.
    #[source]
    pub reason: LoadFault,
}

/// A fault in a handler's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("it is not a regular file")]
    NoFile,
    /// The version that `handlers.versions` should have cannot be read there.
    #[error("it is not in handlers.versions as it should be")]
    Kept(#[source] io::Error),
    /// Two files have the name of the handler, and none of them runs.
    #[error(transparent)]
    SameName(#[from] SameName),
    /// The file has more bytes than [`MAX_FILE`].
    #[error("the file is larger than {MAX_FILE} bytes, the maximum for a handler")]
    FileSize,
    /// The settings of the handler name another file.
    #[error(
        "its SHA-256 is {found}, but the handler's setting sha256 is {expected}; correct one of them"
    )]
    Pin {
        /// SHA-256 of the file.
        found: String,
        /// The setting.
        expected: String,
    },
    /// The signature is missing, but one is required.
    #[error(
        "it is not signed, but handlers.require_signature is set; `eventos sign` makes the signature NAME.wasm.sig, which \
         belongs beside the file"
    )]
    Unsigned,
    /// No trusted key has made the signature, or it is of another file.
    #[error(
        "its signature is not one that a key in handlers.keys has made for this file; sign it again"
    )]
    Untrusted,
    /// The file contains more than the engine is given to compile.
    #[error(transparent)]
    TooLarge(#[from] Excess),
    /// The file is not WebAssembly.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// A core module that does not export what a handler exports.
    #[error(
        "it is a core WebAssembly module that exports no `handle`; does it call the macro that exports one?"
    )]
    NoWorld,
    /// A core module that imports functions of WASI preview 1.
    #[error(
        "it is a core WebAssembly module for WASI preview 1; build it for wasm32-unknown-unknown or wasm32-wasip2"
    )]
    Preview1,
    /// A core module that cannot be parsed.
    #[error("it is a core WebAssembly module that cannot be parsed")]
    Damaged(#[from] wasmparser::BinaryReaderError),
    /// A core module that lacks exports of its world, or imports more than the world offers.
    #[error("it is a core WebAssembly module that does not fit the world {world}")]
    Wrap {
        /// The world that its exports belong to.
        world: &'static str,
        /// The encoder's error.
        #[source]
        reason: wasmtime::Error,
    },
    /// A component that the engine cannot compile.
    #[error("it is not a WebAssembly component that this engine supports")]
    Compile(#[source] wasmtime::Error),
    /// Compiling it takes more memory than `handlers.compile_memory`.
    #[error("compiling it needs more than {0} of memory, the maximum in handlers.compile_memory")]
    CompileMemory(ByteSize),
    /// Compiling it takes longer than is permitted.
    #[error("compiling it takes longer than {} minutes, the maximum", .0.as_secs() / 60)]
    CompileTime(Duration),
    /// The process that compiled it was killed.
    #[error(
        "the process that compiled it was killed, as the system does when its memory runs out; touch the file to try again"
    )]
    CompilerKilled,
    /// The process that compiled it has failed.
    #[error("the process that compiled it has failed: {0}")]
    Compiler(String),
    /// The client went away, or the daemon stops.
    #[error("it is not loaded, because that was cancelled")]
    Cancelled,
    /// A component with imports that no handler may have.
    #[error(
        "it imports interfaces that handlers cannot use: {0}; available are store, emit, config, log, clocks and random numbers"
    )]
    Imports(String),
    /// A component that imports what the host does not offer, or lacks an export of its world.
    #[error("it does not fit the world {world}")]
    World {
        /// The world that its exports belong to.
        world: &'static str,
        /// The linker's error.
        #[source]
        reason: wasmtime::Error,
    },
    /// The handler trapped, or exceeded a limit, before its first batch.
    #[error("it does not start: {0}")]
    Start(Box<DeadLetterReason>),
    /// The handler's own `init` returned an error, most often about its configuration.
    #[error("its init function failed: {0}")]
    Init(String),
}

impl LoadFault {
    /// Returns whether the same file may be loaded another time.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::CompilerKilled | Self::Compiler(_) | Self::CompileTime(_) | Self::Cancelled
        )
    }
}

impl Handler {
    /// Reads a handler's file, and [loads](Handler::load_source) it. It need not be [admitted](super::Admission).
    ///
    /// # Errors
    /// Returns [`LoadError`] with the file and its fault.
    pub fn load(
        engine: &Engine,
        file: &HandlerFile,
        defaults: &Settings,
        config: &HandlerConfig,
        metrics: HandlerMetrics,
    ) -> Result<Self, LoadError> {
        let source = HandlerSource::read(&file.path).map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })?;
        Self::load_source(engine, file, &source, (defaults, config), metrics)
    }

    /// Compiles and links a handler whose file was read, and starts one instance to verify that it starts.
    ///
    /// # Errors
    /// Returns [`LoadError`] with the file and its fault.
    pub fn load_source(
        engine: &Engine,
        file: &HandlerFile,
        source: &HandlerSource,
        (defaults, config): (&Settings, &HandlerConfig),
        metrics: HandlerMetrics,
    ) -> Result<Self, LoadError> {
        let settings = config.settings(defaults);
        let load = || {
            let digest = source.digest().to_owned();
            let pre = link(engine, &settings, source.bytes(), &digest)?;
            let clock = engine.clock();
            let limits = Arc::new(limits(&file.name, &settings, config, metrics, clock));
            let handler = Self::of(&file.name, digest, &settings, Code::Component(pre, limits));
            handler.prepare(1)?;
            Ok(handler)
        };
        load().map_err(|reason| LoadError {
            path: file.path.clone(),
            reason,
        })
    }

    /// Wraps a function of this program as a handler without sandbox or limits, as a baseline for measurements.
    #[must_use]
    pub fn native(name: &str, handle: fn(&Batch) -> HandlerOutput) -> Self {
        let digest = "native".to_owned();
        Self::of(name, digest, &Settings::default(), Code::Native(handle))
    }

    fn of(name: &str, digest: String, settings: &Settings, code: Code) -> Self {
        Self {
            name: name.to_owned(),
            digest,
            failure_policy: FailurePolicy {
                timeout: settings.timeout.unsigned_abs(),
                on_error: settings.on_error,
                retries: settings.retries,
                max_failures: NonZeroU32::new(settings.max_failures),
            },
            code,
            spares: Mutex::default(),
            halted: HaltedPartitions::default(),
        }
    }

    /// Starts instances until `instances` of them are ready, so that the first callers need not wait for one.
    ///
    /// # Errors
    /// Returns [`LoadFault::Start`] or [`LoadFault::Init`] if an instance does not start.
    pub fn prepare(&self, instances: usize) -> Result<(), LoadFault> {
        while self.spares.lock().len() < instances {
            let instance = self.start()?;
            self.spares.lock().push(instance);
        }
        Ok(())
    }

    /// Returns an instance that shares no memory with others: one that is ready, or a new one.
    ///
    /// # Errors
    /// Returns [`LoadFault::Start`] or [`LoadFault::Init`] if a new instance does not start.
    pub fn instance(&self) -> Result<Instance, LoadFault> {
        let ready = self.spares.lock().pop();
        ready.map_or_else(|| self.start(), Ok)
    }

    fn start(&self) -> Result<Instance, LoadFault> {
        match &self.code {
            Code::Component(pre, limits) => Instance::start(pre, Arc::clone(limits)),
            Code::Native(handle) => Ok(Instance::native(*handle)),
        }
    }

    /// Returns the file name without a leading "NN-" and ".wasm".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns what happens to the records that this handler fails on.
    #[must_use]
    pub fn failure_policy(&self) -> FailurePolicy {
        self.failure_policy
    }

    /// Returns the partitions that this handler has halted, with the reasons.
    #[must_use]
    pub fn halted(&self) -> &HaltedPartitions {
        &self.halted
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
        let compiler = engine.compiler();
        let code = compiler.compile(&runtime, &component, engine.cancelled())?;
        // SAFETY: this program has compiled it, in this process or in a child that only this process has.
        let component = unsafe { code.load(&runtime.engine) };
        Ok((component.map_err(LoadFault::Compile)?, code))
    };
    let component = match engine.cache() {
        Some(cache) => cache.component(&runtime.engine, digest, compile)?,
        None => compile()?.0,
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
    clock: &EpochClock,
) -> Limits {
    let size = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    Limits {
        handler: name.to_owned(),
        memory: size(settings.memory),
        timeout: settings.timeout.unsigned_abs(),
        clock: clock.clone(),
        output: size(settings.output),
        stack: settings.stack.as_u64(),
        metrics,
        log: LogMeter::new(settings.log_lines),
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
