//! Bounds how much a file may make the engine compile and allocate, before the engine sees it. The engine itself accepts
//! a million functions, and functions whose compilation takes hours and any amount of memory.
//!
//! Every bound is several times what the largest known handlers have, those with Python or `StarlingMonkey` inside.

use wasmparser::{
    BinaryReaderError, BlockType, ComponentInstance, CompositeInnerType, Encoding, FunctionBody,
    Instance, Operator, Parser, Payload, TypeRef,
};

/// Maximum size of a handler's file, in bytes. Handlers in Python have about 20 MB.
pub const MAX_FILE: u64 = 64 << 20;

/// Maximum number of core instances, linear memories and tables in one instance of a handler.
pub(super) const MAX_INSTANCES: u64 = 200;
pub(super) const MAX_MEMORIES: u64 = 16;
pub(super) const MAX_TABLES: u64 = 32;

/// What the modules of a file contain together: a name for error messages, and the maximum.
const BOUNDS: [(&str, u64); 10] = [
    ("modules and components", 100),
    ("memories", MAX_MEMORIES),
    ("tables", MAX_TABLES),
    ("types", 50_000),
    ("functions", 100_000),
    ("imports", 20_000),
    ("exports", 50_000),
    ("globals", 20_000),
    ("segments of data and elements", 100_000),
    ("units of work to compile", 64 << 20),
];

/// An index of [`BOUNDS`].
#[derive(Clone, Copy)]
enum Item {
    Modules,
    Memories,
    Tables,
    Types,
    Functions,
    Imports,
    Exports,
    Globals,
    Segments,
    Work,
}

/// Maximum work to compile one function: see [`Frame::work`]. The interpreter of Python has the largest known function.
const MAX_FUNCTION: u64 = 1 << 20;

/// What each local costs in each loop: 130,000 of these pairs took 5 s and 180 MB to compile.
const LOCAL_IN_LOOP: u64 = 8;

/// Maximum number of functions, imports and globals, each counted once per core instance that may have it: an instance
/// has a few words for each of them.
const MAX_INSTANCE_ITEMS: u64 = 4_000_000;

/// Counts what a file contains.
#[derive(Default)]
struct Survey {
    counts: [u64; BOUNDS.len()],
    /// The module or component that is being read, and those around it.
    frames: Vec<Frame>,
    /// The largest number of instances that a component which ended already creates.
    most_instances: u64,
}

/// A module or component that is being read.
#[derive(Default)]
struct Frame {
    /// The number of parameters and results of each type that is a function.
    arities: Vec<u64>,
    /// The type of each function, beginning with those that are imported.
    functions: Vec<u32>,
    /// The index of the next function body.
    next_body: usize,
    core_instances: u64,
    component_instances: u64,
}

/// The reason why a file is not given to the engine.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It cannot be parsed.
    #[error(transparent)]
    Damaged(#[from] BinaryReaderError),
    /// It exceeds a bound.
    #[error(transparent)]
    Excess(#[from] Excess),
}

/// What a file contains more of than the engine is given to compile.
#[derive(Debug, thiserror::Error)]
#[error("it is too large to compile: it has {found} {what}; the maximum is {most}")]
pub struct Excess {
    what: &'static str,
    /// How much was found before the rest was no longer looked at.
    found: u64,
    most: u64,
}

/// Checks that the engine can compile and instantiate a file with bounded time and memory. The file is a module or a
/// component.
///
/// # Errors
/// Returns the first bound that is exceeded, or the fault of a file that cannot be parsed.
pub(super) fn check(file: &[u8]) -> Result<(), Fault> {
    let mut survey = Survey::default();
    for payload in Parser::new(0).parse_all(file) {
        survey.add(payload?)?;
    }
    Ok(())
}

fn bound(what: &'static str, found: u64, most: u64) -> Result<(), Fault> {
    match found <= most {
        true => Ok(()),
        false => Err(Excess { what, found, most }.into()),
    }
}

impl Survey {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding),
            Payload::TypeSection(types) => {
                self.count(Item::Types, types.count())?;
                for group in types {
                    self.top().add_types(group?.into_types());
                }
                let found = self.top().arities.len();
                bound("types", found as u64, BOUNDS[Item::Types as usize].1)
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.count(Item::Imports, 1)?;
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                        self.top().functions.push(ty);
                    }
                }
                let frame = self.top();
                frame.next_body = frame.functions.len();
                Ok(())
            }
            Payload::FunctionSection(functions) => {
                self.count(Item::Functions, functions.count())?;
                for ty in functions {
                    self.top().functions.push(ty?);
                }
                Ok(())
            }
            Payload::CodeSectionEntry(body) => {
                let work = self.top().work(&body)?;
                bound(
                    "units of work to compile in one function",
                    work,
                    MAX_FUNCTION,
                )?;
                self.count(Item::Work, u32::try_from(work).unwrap_or(u32::MAX))
            }
            Payload::TableSection(tables) => self.count(Item::Tables, tables.count()),
            Payload::MemorySection(memories) => self.count(Item::Memories, memories.count()),
            Payload::GlobalSection(globals) => self.count(Item::Globals, globals.count()),
            Payload::ExportSection(exports) => self.count(Item::Exports, exports.count()),
            Payload::ElementSection(elements) => self.count(Item::Segments, elements.count()),
            Payload::DataSection(data) => self.count(Item::Segments, data.count()),
            Payload::End(_) => self.end(),
            other => self.add_of_component(other),
        }
    }

    /// Adds a section that only a component has.
    fn add_of_component(&mut self, payload: Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    let is_new = matches!(instance?, Instance::Instantiate { .. });
                    self.top().core_instances += u64::from(is_new);
                }
                Ok(())
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let is_new = matches!(instance?, ComponentInstance::Instantiate { .. });
                    self.top().component_instances += u64::from(is_new);
                }
                Ok(())
            }
            Payload::ComponentImportSection(imports) => self.count(Item::Imports, imports.count()),
            Payload::ComponentExportSection(exports) => self.count(Item::Exports, exports.count()),
            Payload::ComponentTypeSection(types) => self.count(Item::Types, types.count()),
            Payload::CoreTypeSection(types) => self.count(Item::Types, types.count()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), Fault> {
        self.frames.push(Frame {
            // A module that is not in a component is instantiated once.
            core_instances: u64::from(encoding == Encoding::Module && self.frames.is_empty()),
            ..Frame::default()
        });
        self.count(Item::Modules, 1)
    }

    /// Ends a module or component. A component may instantiate any of those that ended before it, each with all the
    /// instances that these create, so the number of instances can grow exponentially with the size of the file.
    fn end(&mut self) -> Result<(), Fault> {
        let frame = self.frames.pop().unwrap_or_default();
        let nested = self.most_instances.saturating_add(1);
        let nested = nested.saturating_mul(frame.component_instances);
        let instances = frame.core_instances.saturating_add(nested);
        self.most_instances = self.most_instances.max(instances);
        bound("instances", instances, MAX_INSTANCES)?;
        if self.frames.is_empty() {
            let items = [Item::Functions, Item::Imports, Item::Globals];
            let items: u64 = items.map(|item| self.counts[item as usize]).iter().sum();
            let what = "functions, imports and globals in all instances together";
            bound(what, items.saturating_mul(instances), MAX_INSTANCE_ITEMS)?;
        }
        Ok(())
    }

    fn count(&mut self, item: Item, by: u32) -> Result<(), Fault> {
        let (what, most) = BOUNDS[item as usize];
        let count = &mut self.counts[item as usize];
        *count = count.saturating_add(by.into());
        bound(what, *count, most)
    }

    fn top(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }
}

impl Frame {
    fn add_types(&mut self, types: impl Iterator<Item = wasmparser::SubType>) {
        self.arities
            .extend(types.map(|ty| match ty.composite_type.inner {
                CompositeInnerType::Func(ty) => (ty.params().len() + ty.results().len()) as u64,
                _ => 0,
            }));
    }

    fn arity(&self, ty: u32) -> u64 {
        // A type that does not exist is refused by the engine.
        self.arities.get(ty as usize).copied().unwrap_or_default()
    }

    /// Estimates the work of compiling a function, in units of about one instruction. Beside its size these count:
    /// locals, since the compiler tracks each of them through each loop; and the values that blocks, branches and calls
    /// carry, of which one byte of code may stand for a thousand.
    fn work(&mut self, body: &FunctionBody<'_>) -> Result<u64, BinaryReaderError> {
        let own = self.functions.get(self.next_body).copied();
        self.next_body += 1;
        let own = own.map_or(0, |ty| self.arity(ty));
        let mut locals = own;
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        let (mut loops, mut widest, mut values) = (1, own, 0_u64);
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Loop { blockty } => {
                    loops += 1;
                    let arity = self.block_arity(blockty);
                    widest = widest.max(arity);
                    values += arity;
                }
                Operator::Block { blockty }
                | Operator::If { blockty }
                | Operator::TryTable {
                    try_table: wasmparser::TryTable { ty: blockty, .. },
                } => {
                    let arity = self.block_arity(blockty);
                    widest = widest.max(arity);
                    values += arity;
                }
                Operator::Br { .. } | Operator::BrIf { .. } => values += widest,
                Operator::BrTable { targets } => {
                    values += widest.saturating_mul(u64::from(targets.len()) + 1);
                }
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    let ty = self.functions.get(function_index as usize).copied();
                    values += ty.map_or(0, |ty| self.arity(ty));
                }
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. } => {
                    values += self.arity(type_index);
                }
                _ => {}
            }
        }
        let bytes = body.as_bytes().len() as u64;
        Ok(bytes + values + LOCAL_IN_LOOP * locals * loops)
    }

    fn block_arity(&self, ty: BlockType) -> u64 {
        match ty {
            BlockType::Empty => 0,
            BlockType::Type(_) => 1,
            BlockType::FuncType(ty) => self.arity(ty),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn found(text: &str) -> Result<(), String> {
        let file = wat::parse_str(text).expect("it is WebAssembly");
        check(&file).map_err(|fault| fault.to_string())
    }

    #[test]
    fn each_bound_is_obeyed_and_broken() {
        let memories = |n: usize| format!("(module {})", "(memory 1)".repeat(n));
        assert_eq!(found(&memories(16)), Ok(()));
        let why = "it is too large to compile: it has 17 memories; the maximum is 16";
        assert_eq!(found(&memories(17)), Err(why.to_owned()));
        let tables = |n: usize| format!("(module {})", "(table 0 funcref)".repeat(n));
        assert_eq!(found(&tables(32)), Ok(()));
        assert!(found(&tables(33)).is_err_and(|why| why.contains("33 tables")));
        let functions = |n: usize| format!("(module {})", "(func)".repeat(n));
        assert_eq!(found(&functions(100_000)), Ok(()));
        assert!(found(&functions(100_001)).is_err_and(|why| why.contains("100001 functions")));
        let globals = |n: usize| format!("(module {})", "(global i32 (i32.const 0))".repeat(n));
        assert_eq!(found(&globals(20_000)), Ok(()));
        assert!(found(&globals(20_001)).is_err());
        let modules = |n: usize| format!("(component {})", "(core module)".repeat(n));
        assert_eq!(found(&modules(99)), Ok(()));
        assert!(found(&modules(100)).is_err());
    }

    #[test]
    fn work_that_few_bytes_stand_for_is_counted() {
        let long = |n: usize| format!("(module (func {}))", "nop ".repeat(n));
        assert_eq!(found(&long(1 << 20 >> 1)), Ok(()));
        assert!(found(&long(3 << 19)).is_err_and(|why| why.contains("in one function")));
        // A loop for each of many locals: quadratic work out of linear code.
        let loops = |n: usize| {
            let (open, close) = ("loop ".repeat(n), "end ".repeat(n));
            format!("(module (func (local {}) {open}{close}))", "i32 ".repeat(n))
        };
        assert_eq!(found(&loops(300)), Ok(()));
        assert!(found(&loops(2_000)).is_err_and(|why| why.contains("in one function")));
        // Two bytes that hand over a thousand values.
        let calls = |n: usize| {
            let values = "i32 ".repeat(1_000);
            let zeros = "i32.const 0 ".repeat(1_000);
            let call = "call 0 ".repeat(n);
            format!(
                "(module (func (param {values}) (result {values}) {zeros} unreachable) (func {zeros} {call} unreachable))"
            )
        };
        assert_eq!(found(&calls(500)), Ok(()));
        assert!(found(&calls(5_000)).is_err_and(|why| why.contains("in one function")));
    }

    #[test]
    fn instances_that_multiply_are_counted_before_they_are_made() {
        let mut nested =
            "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
        for level in 1..=4 {
            let before = level - 1;
            write!(
                nested,
                "(component $c{level} (alias outer 1 $c{before} (component $it))"
            )
            .expect("a text");
            nested.push_str(&"(instance (instantiate $it))".repeat(4));
            nested.push(')');
        }
        let outer = format!("(component {nested} (instance (instantiate $c4)))");
        assert!(found(&outer).is_err_and(|why| why.contains("instances")));
        let few = "(component (component $c (core module $m) (core instance (instantiate $m))) (instance (instantiate $c)))";
        assert_eq!(found(few), Ok(()));
    }
}
