//! The end of the process, while threads of librdkafka still run.

use std::{
    ffi::{c_int, c_void},
    ptr,
    sync::Once,
};

/// `OPENSSL_INIT_NO_ATEXIT` of OpenSSL's `crypto.h`.
const NO_ATEXIT: u64 = 0x0008_0000;

unsafe extern "C" {
    /// Part of the OpenSSL that librdkafka is linked with; see OPENSSL_init_crypto(3).
    fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
}

/// Has OpenSSL keep its memory until the process is gone. Otherwise it frees it in a handler of `exit`, and a client that is
/// still in a handshake then, on a thread of its own, crashes the process.
///
/// This has effect only before anything else initializes OpenSSL, so it precedes the first use of librdkafka.
pub(in crate::kafka) fn keep_tls_until_exit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: OpenSSL permits this call at any time from any thread, and null for no settings.
        let is_initialized = unsafe { OPENSSL_init_crypto(NO_ATEXIT, ptr::null()) } == 1;
        if !is_initialized {
            tracing::warn!("OpenSSL cannot be initialized; connections with TLS will fail");
        }
    });
}
