# The compiler in use, if it builds for WebAssembly; else one made for it, in $EVENTOS_RUST_WASM or where `cargo xtask`
# of eventos keeps it; else rustup is asked for the target, unless RUSTUP_AUTO_INSTALL=0 forbids it to download.
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
        # The linker is that of the compiler in use, if it brings one.
        host=$("$rustc" -vV | sed -n 's/^host: //p')
        linker=$("$rustc" --print sysroot)/lib/rustlib/$host/bin/rust-lld
        [ -x "$linker" ] || linker=wasm-ld
        command -v "$linker" >/dev/null || missing "a linker for WebAssembly" "apt-get install lld"
        export RUSTC="$made/bin/rustc" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
    elif [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ] && command -v rustup >/dev/null; then
        rustup target add "$target"
    else
        missing "a Rust compiler for $target" \
            "run \`rustup target add $target\` where rustup may download, or set RUSTC to a compiler that has it"
    fi
fi
cargo build --release --target "$target" --target-dir target
# The daemon makes a component of the module itself.
cp "target/$target/release/handler.wasm" "$wasm"
