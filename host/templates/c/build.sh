# clang with its linker for WebAssembly; no libc.
command -v clang >/dev/null || missing "clang 14 or newer" "apt-get install clang lld"
command -v wasm-ld >/dev/null || missing "wasm-ld, the linker for WebAssembly" "apt-get install lld"
# The daemon makes a component of the module itself.
clang @sdk/flags.txt -I sdk sdk/*.c *.c -o "$wasm"
