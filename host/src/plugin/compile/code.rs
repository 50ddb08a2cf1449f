//! Compiled code on its way to the engine: a file without a name that changes no more.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write as _},
};

use wasmtime::component::Component;

/// A file without a name that cannot be changed any more: on Linux the kernel refuses that, also to a process that has opened it
/// before. The engine maps such a file instead of copying it, so only what is used of it becomes resident.
pub(in super::super) struct SealedFile {
    file: File,
    /// Whether the kernel keeps it as it is, so that it can be mapped.
    is_sealed: bool,
}

/// Makes an empty file without a name, in memory if possible.
pub(super) fn nameless_file() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{MemfdFlags, memfd_create};
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        if let Ok(file) = memfd_create("eventos-compiled", flags) {
            return Ok(File::from(file));
        }
    }
    tempfile::tempfile()
}

impl SealedFile {
    /// Returns a file with these bytes.
    pub(in super::super) fn of(bytes: &[u8]) -> io::Result<Self> {
        let mut file = nameless_file()?;
        file.write_all(bytes)?;
        Ok(Self::seal(file))
    }

    /// Returns a file with what `source` has to read, up to `most` bytes.
    pub(in super::super) fn copy_of(source: &File, most: u64) -> io::Result<Self> {
        let mut file = nameless_file()?;
        io::copy(&mut source.take(most), &mut file)?;
        Ok(Self::seal(file))
    }

    /// Takes a [`nameless_file`] that is complete.
    pub(super) fn seal(file: File) -> Self {
        #[cfg(target_os = "linux")]
        let is_sealed = {
            use rustix::fs::{SealFlags, fcntl_add_seals};
            let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
            fcntl_add_seals(&file, all).is_ok()
        };
        #[cfg(not(target_os = "linux"))]
        let is_sealed = false;
        Self { file, is_sealed }
    }

    /// Returns its length in bytes.
    pub(in super::super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads it from the beginning.
    pub(in super::super) fn reader(&self) -> io::Result<&File> {
        (&self.file).rewind()?;
        Ok(&self.file)
    }

    /// Loads the code in it.
    ///
    /// # Errors
    /// Returns an error if it is not code for this engine, or cannot be read.
    ///
    /// # Safety
    /// It has to contain what wasmtime has made of a component in this program, or in one that is trusted as much. Code of other
    /// versions or settings is refused.
    pub(in super::super) unsafe fn load(
        &self,
        engine: &wasmtime::Engine,
    ) -> wasmtime::Result<Component> {
        #[cfg(target_os = "linux")]
        if self.is_sealed {
            use std::os::fd::AsRawFd as _;
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            // SAFETY: the caller vouches for the code, and what is sealed does not change while it is mapped.
            let mapped = unsafe { Component::deserialize_file(engine, path) };
            // Without /proc, or where code may not be mapped of such a file, it is copied.
            if let Ok(component) = mapped {
                return Ok(component);
            }
        }
        let mut code = Vec::new();
        self.reader()?.read_to_end(&mut code)?;
        // SAFETY: the caller vouches for the code.
        unsafe { Component::deserialize(engine, code) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_changes_no_more() {
        let file = SealedFile::of(b"code").expect("written");
        for _ in 0..2 {
            let mut read = String::new();
            let mut reader = file.reader().expect("read");
            reader.read_to_string(&mut read).expect("read");
            assert_eq!((read.as_str(), file.len().ok()), ("code", Some(4)));
        }
        if cfg!(target_os = "linux") {
            assert!(file.is_sealed);
            assert!((&file.file).write_all(b"more").is_err());
            assert!(file.file.set_len(0).is_err());
        }
        let copy = SealedFile::copy_of(file.reader().expect("read"), 3).expect("copied");
        assert_eq!(copy.len().ok(), Some(3));
    }

    #[test]
    fn code_loads_mapped_or_copied_and_anything_else_does_not() {
        let engine = wasmtime::Engine::default();
        let text = wat::parse_str("(component)").expect("a component");
        let code = engine.precompile_component(&text).expect("compiled");
        let sealed = SealedFile::of(&code).expect("written");
        let open = SealedFile {
            file: SealedFile::of(&code).expect("written").file,
            is_sealed: false,
        };
        for file in [&sealed, &open] {
            // SAFETY: it was compiled here.
            assert!(unsafe { file.load(&engine) }.is_ok());
        }
        let junk = SealedFile::of(b"no code").expect("written");
        // SAFETY: it is refused.
        assert!(unsafe { junk.load(&engine) }.is_err());
    }
}
