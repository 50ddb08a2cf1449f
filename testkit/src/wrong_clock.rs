//! A wall clock that a test sets, for one program only.

use std::path::Path;

use crate::preload::Preload;

/// Shifts `CLOCK_REALTIME` by the milliseconds in a file, which the program maps into its memory.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift_ms;

__attribute__((constructor)) static void map_shift(void) {
    int file = open(getenv("PRELOAD_CONTROL"), O_RDONLY);
    void *mapped = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) shift_ms = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && shift_ms && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        time->tv_sec += *shift_ms / 1000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return result;
}

int timespec_get(struct timespec *time, int base) {
    return clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
}

// Waits in slices until the shifted clock has reached the deadline, as the kernel would if the clock itself were set.
#define WAIT_UNTIL(wait, timed_out, waiting, lock, deadline)                                              \
    for (;;) {                                                                                            \
        struct timespec now, slice;                                                                       \
        clock_gettime(CLOCK_REALTIME, &now);                                                              \
        int64_t left = (deadline->tv_sec - now.tv_sec) * 1000000000 + deadline->tv_nsec - now.tv_nsec;    \
        int64_t most = left < 0 ? 0 : left < 20000000 ? left : 20000000;                                  \
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &slice);                                               \
        slice.tv_nsec += most;                                                                            \
        if (slice.tv_nsec >= 1000000000) slice.tv_sec += 1, slice.tv_nsec -= 1000000000;                  \
        int result = wait(waiting, lock, &slice);                                                         \
        if (result != timed_out || left <= most) return result;                                           \
    }

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *deadline) {
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!wait) wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!wait) wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    WAIT_UNTIL(wait, ETIMEDOUT, cond, mutex, deadline)
}

int cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *deadline) {
    static int (*wait)(cnd_t *, mtx_t *, const struct timespec *);
    if (!wait) wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    WAIT_UNTIL(wait, thrd_timedout, cond, mutex, deadline)
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
"#;

/// A wall clock that is right at first, and can be set while a program runs. Clocks that only measure durations are not
/// affected.
pub struct WrongClock(Preload);

impl WrongClock {
    /// Prepares a clock in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(Preload::new(folder, SOURCE, 1))
    }

    /// Returns the environment variables of a program that uses this clock.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 2] {
        self.0.environment()
    }

    /// Sets the clock to the right time plus this many milliseconds, in whole seconds.
    pub fn set_ahead(&self, milliseconds: i64) {
        self.0.set(0, milliseconds);
    }
}
