# Uses $RUSTC or rustc, if it can build for WebAssembly. Otherwise uses the compiler in $EVENTOS_RUST_WASM, or in the cache
# of `cargo xtask` of eventos. Otherwise installs the target with rustup, unless RUSTUP_AUTO_INSTALL=0 forbids downloads.
target=wasm32-unknown-unknown
made=${EVENTOS_RUST_WASM:-$cache/rust-wasm}

has_target() {
    libraries=$("$1" --print target-libdir --target "$target")
    for std in "$libraries"/libstd.rlib "$libraries"/libstd-*.rlib; do
        [ ! -e "$std" ] || return 0
    done
    return 1
}

rustc=${RUSTC:-rustc}
command -v cargo >/dev/null && command -v "$rustc" >/dev/null || missing "Rust" "see https://rustup.rs"
if ! has_target "$rustc"; then
    if [ -x "$made/bin/rustc" ] && has_target "$made/bin/rustc"; then
        # Prefer the linker that comes with rustc.
        host=$("$rustc" -vV | sed -n 's/^host: //p')
        linker=$("$rustc" --print sysroot)/lib/rustlib/$host/bin/rust-lld
        [ -x "$linker" ] || linker=wasm-ld
        command -v "$linker" >/dev/null || missing "a linker for WebAssembly" "apt-get install lld"
        export RUSTC="$made/bin/rustc" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
    elif [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] && command -v rustup >/dev/null; then
        rustup target add "$target"
    else
        missing "a Rust compiler for $target" \
            "run \`rustup target add $target\`, or set RUSTC to a compiler that has the target"
    fi
fi
cargo build --release --target "$target" --target-dir target
# The daemon turns the core module into a component.
cp "target/$target/release/handler.wasm" "$wasm"
