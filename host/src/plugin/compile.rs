//! Compiling a large handler, such as one in Python, takes hundreds of MiB for some seconds. What is free again goes back to the operating
//! system.

/// Runs `compile`, and gives memory that is free then back to the operating system.
pub(super) fn returning_memory<T>(compile: impl FnOnce() -> T) -> T {
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

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::thread;

    use super::*;

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
        returning_memory(|| {
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
