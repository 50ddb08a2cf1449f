//! Compiles handlers, in a process of its own where possible: a large handler takes hundreds of MiB for some seconds, of which the
//! allocator would keep a part for ever. The operating system bounds what that process takes, and what it ends of it is no more
//! than a file that could not be loaded.
//!
//! [`child`] is what runs in that process and [`parent`] is what starts it and waits for it; [`code`] is what they hand over.

mod child;
mod code;
mod parent;

use std::{env, ops::ControlFlow, process::ExitCode};

use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

pub(super) use self::code::SealedFile;
use self::parent::{Failure, Limits, TIME_LIMIT};
use super::{LoadFault, engine::Runtime};

/// How handlers are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process, which is right for one that ends soon: commands, tests and benchmarks.
    InProcess,
    /// By this program, which runs again for each handler, with a maximum of memory. Where that is not possible, such as
    /// without `/proc`, a warning is logged and handlers are compiled in this process.
    OwnProcess(CompilerProgram, ByteSize),
}

/// Shows that `main` begins with [`CompilerProgram::begin`], so that this program can run again to compile a handler.
#[derive(Clone, Copy, Debug)]
pub struct CompilerProgram(());

impl CompilerProgram {
    /// Has to be the first thing that `main` does. If this process was started to compile a handler, compiles it and breaks with the
    /// exit code.
    pub fn begin() -> ControlFlow<ExitCode, Self> {
        let mut arguments = env::args_os().skip(1);
        match arguments.next() {
            Some(first) if first == parent::ARGUMENT => {
                ControlFlow::Break(child::run(&arguments.collect::<Vec<_>>()))
            }
            _ => ControlFlow::Continue(Self(())),
        }
    }
}

impl Compiler {
    /// Compiles a component, or ends early with [`LoadFault::Cancelled`]. Returns what wasmtime calls a serialized component.
    ///
    /// # Errors
    /// Returns the fault of the component, or the limit that was reached.
    pub(super) fn compile(
        &self,
        runtime: &Runtime,
        component: &[u8],
        cancelled: &CancellationToken,
    ) -> Result<SealedFile, LoadFault> {
        if cancelled.is_cancelled() {
            return Err(LoadFault::Cancelled);
        }
        if let Self::OwnProcess(_, memory) = self {
            let limits = Limits {
                memory: *memory,
                time: TIME_LIMIT,
            };
            match parent::compile(runtime, component, &limits, cancelled) {
                Ok(code) => return Ok(code),
                Err(Failure::Fault(fault)) => return Err(fault),
                Err(Failure::NoProcess(why)) => tracing::warn!(
                    why,
                    "a handler cannot be compiled in a process of its own; this one compiles it, and keeps memory of it"
                ),
            }
        }
        let code = runtime.engine.precompile_component(component);
        Ok(SealedFile::of(&code.map_err(LoadFault::Compile)?)?)
    }
}
