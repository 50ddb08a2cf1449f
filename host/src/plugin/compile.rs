//! Compiling a large handler, such as one in Python, takes hundreds of MiB for some seconds. So one handler is compiled at a time, and what is
//! free again goes back to the operating system.

use parking_lot::Mutex;

/// Held while a handler is compiled, by any engine of this process.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `compile` when no other handler is being compiled.
pub(super) fn one_at_a_time<T>(compile: impl FnOnce() -> T) -> T {
    let _turn = TURN.lock();
    let compiled = compile();
    release_free_memory();
    compiled
}

/// Gives memory that was freed back to the operating system. The compiler's threads each have an arena of their own, in which the allocator
/// of the GNU C library would keep it.
fn release_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function may be called at any time and from any thread; it locks each arena that it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn one_compiles_at_a_time() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let compile = || {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            running.fetch_sub(1, Ordering::SeqCst);
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| one_at_a_time(compile));
            }
        });
        assert_eq!(most.into_inner(), 1);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_is_free_goes_back_to_the_operating_system() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/statm").expect("the process runs");
            let pages = status
                .split(' ')
                .nth(1)
                .and_then(|it| it.parse::<usize>().ok());
            pages.expect("a number") * 4096
        };
        let before = resident();
        one_at_a_time(|| {
            // Pieces that are too small for a mapping of their own, allocated by a thread as the compiler does. The last one
            // keeps the top of its heap in use.
            let pieces = || (0..200_000).map(|_| vec![1_u8; 1_000]).collect::<Vec<_>>();
            let last = thread::spawn(move || pieces().pop());
            last.join().expect("a thread that allocates")
        });
        let after = resident();
        assert!(
            after < before + (100 << 20),
            "{before} bytes became {after}"
        );
    }
}
