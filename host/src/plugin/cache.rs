//! The on-disk cache of compiled handlers, so that a warm start compiles nothing.
//!
//! This replaces wasmtime's feature `cache`, which runs what it reads after a decompression that does not detect a
//! flipped bit.

use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, DirBuilder, File},
    hash::{Hash as _, Hasher as _},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::{Config, LoadFault};

/// File extension of cache entries; other files in the folder are left alone.
const EXTENSION: &str = "compiled";

/// Length in bytes of the digest that precedes the code.
const DIGEST: usize = 32;

/// A folder of compiled handlers. A file is named after the digest of the handler and a hash of the engine's version
/// and settings; it begins with the digest of the code that follows.
///
/// Cached code is executed, so whoever can write to the folder must be trusted like the daemon itself: the folder is
/// created with access for its user only. A damaged file, or one of another engine, is compiled again.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    max_bytes: u64,
}

impl Cache {
    /// Returns the cache that the configuration asks for, or `None` if it names no folder.
    #[must_use]
    pub fn from_config(config: &Config) -> Option<Self> {
        let dir = config.cache.clone();
        let max_bytes = config.cache_max_bytes.as_u64();
        (!dir.as_os_str().is_empty()).then_some(Self { dir, max_bytes })
    }

    /// Returns the cache only if its folder exists already, so that a command which merely inspects a handler leaves
    /// no folder behind.
    #[must_use]
    pub fn existing(config: &Config) -> Option<Self> {
        Self::from_config(config).filter(|cache| cache.dir.is_dir())
    }

    /// Returns the cached component, or compiles it and adds it to the cache. If the folder cannot be used, a warning
    /// is logged and the handler still loads.
    pub(super) fn component(
        &self,
        engine: &wasmtime::Engine,
        digest: &str,
        compile: impl FnOnce() -> Result<Component, LoadFault>,
    ) -> Result<Component, LoadFault> {
        let path = self.dir.join(name(engine, digest));
        if let Some(component) = read(engine, &path) {
            return Ok(component);
        }
        let component = compile()?;
        let code = component.serialize().map_err(LoadFault::Compile)?;
        if let Err(error) = self.write(&path, &code) {
            let dir = self.dir.display();
            tracing::warn!(%error, %dir, "cannot write to the cache of compiled handlers; check handlers.cache");
        }
        Ok(component)
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        // The rename makes the file appear whole or not at all; the digest detects what a power cut damages.
        file.persist(path)?;
        self.evict()
    }

    /// Removes the least recently used files until the rest fits; the newest always stays.
    fn evict(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == EXTENSION)
                && let Ok(metadata) = path.metadata()
            {
                files.push((metadata.modified()?, metadata.len(), path));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        files.pop();
        for (_, len, path) in files {
            if bytes <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            bytes -= len;
        }
        Ok(())
    }
}

fn name(engine: &wasmtime::Engine, digest: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // Our own version counts too, because a core module is wrapped before it is compiled.
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{digest}-{:016x}.{EXTENSION}", hasher.finish())
}

/// Returns `None` without a usable entry, so that the handler has to be compiled.
fn read(engine: &wasmtime::Engine, path: &Path) -> Option<Component> {
    let bytes = fs::read(path).ok()?;
    let (digest, code) = bytes.split_at_checked(DIGEST)?;
    if Sha256::digest(code)[..] != *digest {
        tracing::warn!(path = %path.display(), "a compiled handler is damaged; compiling it again");
        return None;
    }
    // Mark it as recently used. If that fails, it is evicted earlier and compiled again.
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    // SAFETY: the digest shows that these are the bytes which `serialize` produced, in a folder that only this user
    // can write to; wasmtime itself checks that they match its version and settings.
    match unsafe { Component::deserialize(engine, code) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "a compiled handler is not usable; compiling it again");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;

    use super::*;

    struct TestCache {
        dir: tempfile::TempDir,
        engine: wasmtime::Engine,
    }

    impl TestCache {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let engine = wasmtime::Engine::default();
            Self { dir, engine }
        }

        /// Returns whether the handler had to be compiled.
        fn compiles(&self, digest: &str, max_bytes: ByteSize) -> bool {
            let config = Config {
                cache: self.dir.path().join("cache"),
                cache_max_bytes: max_bytes,
                ..Config::default()
            };
            let mut compiled = false;
            let compile = || {
                compiled = true;
                let text = wat::parse_str("(component)").expect("a component");
                Component::from_binary(&self.engine, &text).map_err(LoadFault::Compile)
            };
            let cache = Cache::from_config(&config).expect("it has a folder");
            cache
                .component(&self.engine, digest, compile)
                .expect("a component");
            compiled
        }

        fn files(&self) -> Vec<PathBuf> {
            let files = fs::read_dir(self.dir.path().join("cache")).expect("listed");
            files.map(|entry| entry.expect("listed").path()).collect()
        }
    }

    #[test]
    fn what_was_compiled_is_not_compiled_again() {
        let cache = TestCache::new();
        assert!(cache.compiles("a", ByteSize::gib(1)));
        assert!(!cache.compiles("a", ByteSize::gib(1)));
        assert!(cache.compiles("b", ByteSize::gib(1)));
        assert_eq!(cache.files().len(), 2);
    }

    #[test]
    fn what_is_damaged_anywhere_or_cut_is_compiled_again() {
        let cache = TestCache::new();
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let path = cache.files().remove(0);
        let whole = fs::read(&path).expect("read");
        for at in [0, DIGEST, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).expect("written");
            assert!(cache.compiles("a", ByteSize::gib(1)), "{at}");
            assert_eq!(fs::read(&path).expect("read"), whole);
        }
        for len in [0, DIGEST - 1, DIGEST, whole.len() - 1] {
            fs::write(&path, &whole[..len]).expect("written");
            assert!(cache.compiles("a", ByteSize::gib(1)), "{len}");
        }
    }

    #[test]
    fn what_is_whole_and_no_code_of_this_engine_is_compiled_again() {
        let cache = TestCache::new();
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let path = cache.files().remove(0);
        let foreign = b"of another engine";
        let bytes = [&Sha256::digest(foreign)[..], foreign].concat();
        fs::write(&path, bytes).expect("written");
        assert!(cache.compiles("a", ByteSize::gib(1)));
    }

    #[test]
    fn the_longest_unused_go_first() {
        let cache = TestCache::new();
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let (path, hour) = (
            cache.files().remove(0),
            std::time::Duration::from_secs(3_600),
        );
        let old = File::open(&path).expect("opened");
        old.set_modified(SystemTime::now() - hour)
            .expect("dated back");
        let len = path.metadata().expect("there").len();
        assert!(cache.compiles("b", ByteSize::b(2 * len)));
        assert!(cache.compiles("c", ByteSize::b(2 * len)));
        assert!(!cache.compiles("b", ByteSize::b(2 * len)));
        assert!(cache.compiles("a", ByteSize::b(1)));
        assert_eq!(cache.files().len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_costs_no_handler() {
        let cache = TestCache::new();
        fs::write(cache.dir.path().join("cache"), "a file").expect("written");
        assert!(cache.compiles("a", ByteSize::gib(1)));
        assert!(cache.compiles("a", ByteSize::gib(1)));
    }
}
