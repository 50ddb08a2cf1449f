# Uses clang and its linker for WebAssembly, without a libc.
command -v clang >/dev/null || missing "clang 14 or newer" "apt-get install clang lld"
command -v wasm-ld >/dev/null || missing "wasm-ld, the linker for WebAssembly" "apt-get install lld"
# The daemon turns the core module into a component.
clang @sdk/flags.txt -I sdk sdk/*.c *.c -o "$wasm"
