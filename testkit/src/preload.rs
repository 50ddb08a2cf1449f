//! C libraries that take the place of functions of the C library in a program that a test starts.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A library that is loaded into a program, and the numbers that a test controls it with while the program runs. The library
/// maps the file of the numbers, whose path is in the variable `PRELOAD_CONTROL`.
pub(crate) struct Preload {
    control: PathBuf,
    library: PathBuf,
}

impl Preload {
    /// Compiles the library in a folder, with all numbers 0. This needs a C compiler, as building the daemon does.
    pub(crate) fn new(folder: &Path, source: &str, numbers: usize) -> Self {
        let [control, code, library] =
            ["preload.control", "preload.c", "preload.so"].map(|name| folder.join(name));
        fs::write(&control, vec![0; numbers * 8]).expect("the numbers are written");
        fs::write(&code, source).expect("the source is written");
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&library, &code])
            .status();
        assert!(compiled.expect("cc starts").success());
        Self { control, library }
    }

    /// Returns the environment variables of a program that the library is loaded into.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("PRELOAD_CONTROL", text(&self.control)),
        ]
    }

    /// Sets a number.
    pub(crate) fn set(&self, index: u64, value: i64) {
        let file = fs::OpenOptions::new().write(true).open(&self.control);
        file.and_then(|file| file.write_all_at(&value.to_ne_bytes(), 8 * index))
            .expect("the number is written");
    }
}
