//! A disk that fails for one program only, and only for certain files.

use std::path::Path;

use crate::preload::Preload;

/// Fails calls for files whose path contains `DISK_FAULT_PATH`, by the flags of [`DiskFault`].
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int64_t *faults;

__attribute__((constructor)) static void map_faults(void) {
    int file = open(getenv("PRELOAD_CONTROL"), O_RDWR);
    void *mapped = mmap(0, 4 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) faults = mapped;
}

static int is_concerned(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, getenv("DISK_FAULT_PATH")) != 0;
}

static int fails(int fault, int fd) { return faults && faults[fault] && is_concerned(fd); }

static int fail(int error) {
    errno = error;
    return -1;
}

int fsync(int fd) { return fails(0, fd) ? fail(EIO) : syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fails(0, fd) ? fail(EIO) : syscall(SYS_fdatasync, fd); }

// The first write is cut short, and those after it find no space.
ssize_t write(int fd, const void *bytes, size_t count) {
    if (!fails(1, fd)) return syscall(SYS_write, fd, bytes, count);
    if (faults[1] == 2 || count < 2) return fail(ENOSPC);
    faults[1] = 2;
    return syscall(SYS_write, fd, bytes, count / 2);
}

int ftruncate64(int fd, off64_t length) {
    return fails(2, fd) ? fail(EIO) : syscall(SYS_ftruncate, fd, length);
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

// Every call fails, whatever the file: the paths are relative to a folder.
int unlinkat(int folder, const char *path, int flags) {
    return faults && faults[3] ? fail(EIO) : syscall(SYS_unlinkat, folder, path, flags);
}
int rename(const char *from, const char *to) {
    if (faults && faults[3] && strstr(from, getenv("DISK_FAULT_PATH"))) return fail(EIO);
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
"#;

/// What a [`FaultyDisk`] does not do.
#[derive(Clone, Copy, Debug)]
pub enum DiskFault {
    /// Syncing a file.
    Sync,
    /// Writing to a file: the first write is cut short, and the following ones fail.
    Write,
    /// Cutting off the end of a file.
    Truncate,
    /// Removing files of any folder, and renaming those that are concerned.
    Remove,
}

/// A disk that works at first, and can fail for some files while a program runs.
pub struct FaultyDisk {
    preload: Preload,
    path: String,
}

impl FaultyDisk {
    /// Prepares a disk that can fail for the files whose path contains `path`. Uses `folder` for its own files.
    #[must_use]
    pub fn new(folder: &Path, path: &str) -> Self {
        Self {
            preload: Preload::new(folder, SOURCE, 4),
            path: path.to_owned(),
        }
    }

    /// Returns the environment variables of a program that uses this disk.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = ("DISK_FAULT_PATH", self.path.clone());
        self.preload
            .environment()
            .into_iter()
            .chain([path])
            .collect()
    }

    /// Lets calls fail from now on, or work again.
    pub fn set_failing(&self, fault: DiskFault, is_failing: bool) {
        self.preload.set(fault as u64, i64::from(is_failing));
    }
}
