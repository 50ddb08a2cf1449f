//! The on-disk cache of compiled handlers, so that a warm start compiles nothing.
//!
//! What is read there is executed, so an entry is used only if this user's own [key](UserKey) authenticates it.
//!
//! This replaces wasmtime's feature `cache`, which runs what it reads after a decompression that does not detect a
//! flipped bit.

use std::{
    fs::{self, DirBuilder},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use wasmtime::component::Component;

use super::{
    Config, LoadFault,
    compile::SealedFile,
    engine,
    user_key::{self, UserKey},
};

/// File extension of cache entries; other files in the folder are left alone.
const EXTENSION: &str = "compiled";

/// Maximum size of an entry in bytes; larger files are not read.
const MAX_ENTRY: u64 = 1 << 30;

/// A folder of compiled handlers. A file is named after the digest of the handler and a hash of the engine's version
/// and settings; it begins with a code (keyed BLAKE3) that authenticates its name and the compiled code that follows.
///
/// An entry that runs can only be made with the user's key: not by a file in a cloned repository, and not by
/// `handlers.cache` in its configuration. A file that does not fit, or is of another engine, is compiled again. A folder or
/// file that other users can write to is not used.
#[derive(Clone)]
pub struct Cache {
    dir: PathBuf,
    max_bytes: u64,
    key: UserKey,
}

impl Cache {
    /// Returns the cache that the configuration asks for, or `None` if it names no folder. If the user's key cannot be
    /// used, this logs a warning and returns `None`.
    #[must_use]
    pub fn from_config(config: &Config) -> Option<Self> {
        Self::with_user_key(config, true)
    }

    fn with_user_key(config: &Config, create: bool) -> Option<Self> {
        if config.cache.as_os_str().is_empty() {
            return None;
        }
        match UserKey::of_user(create) {
            Ok(key) => Some(Self::new(config, key?)),
            Err(error) => {
                tracing::warn!(%error, "the cache of compiled handlers is not used");
                None
            }
        }
    }

    fn new(config: &Config, key: UserKey) -> Self {
        Self {
            dir: config.cache.clone(),
            max_bytes: config.cache_max_bytes.as_u64(),
            key,
        }
    }

    /// Returns the cache only if its folder and the user's key exist already, so that a command which merely inspects a handler leaves
    /// no folder behind.
    #[must_use]
    pub fn existing(config: &Config) -> Option<Self> {
        Self::with_user_key(config, false).filter(|cache| cache.dir.is_dir())
    }

    /// Returns the cached component, or compiles it and adds it to the cache. If the folder cannot be used, a warning
    /// is logged and the handler still loads.
    pub(super) fn component(
        &self,
        engine: &wasmtime::Engine,
        digest: &str,
        compile: impl FnOnce() -> Result<(Component, SealedFile), LoadFault>,
    ) -> Result<Component, LoadFault> {
        let name = format!("{digest}-{}.{EXTENSION}", engine::identity(engine));
        if let Err(error) = self.prepare() {
            let dir = self.dir.display();
            tracing::warn!(%error, %dir, "cannot use the cache of compiled handlers; check handlers.cache");
            return Ok(compile()?.0);
        }
        if let Some(component) = self.read(engine, &name) {
            return Ok(component);
        }
        let (component, code) = compile()?;
        if let Err(error) = self.write(&name, &code) {
            let dir = self.dir.display();
            tracing::warn!(%error, %dir, "cannot write to the cache of compiled handlers; check handlers.cache");
        }
        Ok(component)
    }

    /// Makes the folder if it is missing, and checks that only this user can write to it.
    fn prepare(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.dir)?;
        let metadata = fs::symlink_metadata(&self.dir)?;
        user_key::check_owner(&self.dir, &metadata, user_key::WRITABLE)
    }

    fn write(&self, name: &str, code: &SealedFile) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&self.key.sign(name, code.len()?, code.reader()?)?)?;
        io::copy(&mut code.reader()?, file.as_file_mut())?;
        // The rename makes the file appear whole or not at all; the code detects what a power cut damages.
        file.persist(self.dir.join(name))?;
        self.evict()
    }

    /// Returns `None` without a usable entry, so that the handler has to be compiled.
    fn read(&self, engine: &wasmtime::Engine, name: &str) -> Option<Component> {
        let path = self.dir.join(name);
        let (code, compiled) = match read_own(&path) {
            Ok(entry) => entry,
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::NotFound => {}
                    io::ErrorKind::UnexpectedEof => warn_of_damage(&path),
                    _ => {
                        tracing::warn!(%error, "a compiled handler is not used; compiling it again");
                    }
                }
                return None;
            }
        };
        // What is checked is the copy that will run, and that is sealed.
        let verified = compiled
            .len()
            .and_then(|len| self.key.verify(name, len, compiled.reader()?, &code));
        if !verified.unwrap_or(false) {
            warn_of_damage(&path);
            return None;
        }
        // SAFETY: the code shows that a process which can read this user's key wrote these bytes, under this name, as
        // wasmtime returned them; wasmtime itself checks that they match its version and settings.
        match unsafe { compiled.load(engine) } {
            Ok(component) => Some(component),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%error, %path, "a compiled handler is not usable; compiling it again");
                None
            }
        }
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

fn warn_of_damage(path: &Path) {
    let path = path.display();
    tracing::warn!(%path, "a compiled handler is damaged, or was not compiled by this user; compiling it again");
}

/// Reads a file that only this user can write to, and marks it as recently used. Returns the code that authenticates it, and the
/// compiled code.
fn read_own(path: &Path) -> io::Result<([u8; user_key::LEN], SealedFile)> {
    let file = user_key::open(path)?;
    user_key::check_owner(path, &file.metadata()?, user_key::WRITABLE)?;
    let mut code = [0; user_key::LEN];
    (&file).read_exact(&mut code)?;
    let compiled = SealedFile::copy_of(&file, MAX_ENTRY)?;
    // If that fails, it is evicted earlier and compiled again.
    let _ = file.set_modified(SystemTime::now());
    Ok((code, compiled))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::PermissionsExt as _};

    use bytesize::ByteSize;
    use sha2::{Digest as _, Sha256};

    use super::*;

    struct TestCache {
        dir: tempfile::TempDir,
        engine: wasmtime::Engine,
        key: UserKey,
    }

    impl TestCache {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let engine = wasmtime::Engine::default();
            let key = UserKey::random();
            Self { dir, engine, key }
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
                let code = self.engine.precompile_component(&text);
                let code = SealedFile::of(&code.expect("compiled")).expect("written");
                // SAFETY: it was compiled here.
                let component = unsafe { code.load(&self.engine) };
                Ok((component.expect("a component"), code))
            };
            Cache::new(&config, self.key.clone())
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
        for at in [0, user_key::LEN, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).expect("written");
            assert!(cache.compiles("a", ByteSize::gib(1)), "{at}");
            assert_eq!(fs::read(&path).expect("read"), whole);
        }
        for len in [0, user_key::LEN - 1, user_key::LEN, whole.len() - 1] {
            fs::write(&path, &whole[..len]).expect("written");
            assert!(cache.compiles("a", ByteSize::gib(1)), "{len}");
        }
    }

    #[test]
    fn what_is_whole_and_no_code_of_this_engine_is_compiled_again() {
        let cache = TestCache::new();
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let path = cache.files().remove(0);
        let name = path.file_name().expect("a name").to_string_lossy();
        let foreign = b"of another engine";
        let code = cache.key.sign(&name, foreign.len() as u64, &foreign[..]);
        let code = code.expect("signed");
        fs::write(&path, [&code[..], foreign].concat()).expect("written");
        assert!(cache.compiles("a", ByteSize::gib(1)));
    }

    #[test]
    fn an_entry_of_a_stranger_or_under_another_name_never_runs() {
        let (mut cache, key) = (TestCache::new(), UserKey::random());
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let path = cache.files().remove(0);
        let own = std::mem::replace(&mut cache.key, key);
        assert!(cache.compiles("a", ByteSize::gib(1)));
        assert!(!cache.compiles("a", ByteSize::gib(1)));
        // A digest, which needs no key, is not enough.
        let bytes = fs::read(&path).expect("read");
        let (_, code) = bytes.split_at(user_key::LEN);
        fs::write(&path, [&Sha256::digest(code)[..], code].concat()).expect("written");
        assert!(cache.compiles("a", ByteSize::gib(1)));
        cache.key = own;
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let other = path.to_string_lossy().replace("/a-", "/b-");
        fs::copy(&path, other).expect("copied");
        assert!(cache.compiles("b", ByteSize::gib(1)));
    }

    #[test]
    fn what_other_users_can_write_to_is_not_used() {
        let cache = TestCache::new();
        assert!(cache.compiles("a", ByteSize::gib(1)));
        let path = cache.files().remove(0);
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
        };
        chmod(&path, 0o666);
        assert!(cache.compiles("a", ByteSize::gib(1)));
        assert!(!cache.compiles("a", ByteSize::gib(1)));
        let folder = path.parent().expect("a folder");
        chmod(folder, 0o770);
        assert!(cache.compiles("a", ByteSize::gib(1)));
        chmod(folder, 0o755);
        assert!(!cache.compiles("a", ByteSize::gib(1)));
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
