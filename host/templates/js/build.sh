# Uses componentize-qjs, which includes QuickJS: from the cache of `cargo xtask` of eventos, or from npm in node_modules.
version=$(sed 's/.*@//' sdk/toolchain.txt)
is_right() { grep -qs "\"version\": \"$version\"" "$1/componentize-qjs/package.json"; }

command -v node >/dev/null && command -v npm >/dev/null || missing "Node.js 18 or newer with npm" "apt-get install nodejs npm"
modules=$cache/componentize-qjs/node_modules
if ! is_right "$modules"; then
    modules=node_modules
    is_right "$modules" || npm install --silent --no-audit --no-fund --ignore-scripts
fi
NODE_PATH=$modules node sdk/build.cjs . wit "$wasm"
