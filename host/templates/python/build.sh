# Uses componentize-py, which includes CPython: from the cache of `cargo xtask` of eventos, or from PyPI in .venv.
version=$(sed -n 's/^componentize-py==//p' sdk/toolchain.txt)
is_right() {
    [ "$("$1" --version 2>/dev/null)" = "componentize-py $version" ] && "$(dirname "$1")/python" -c 'import tzdata' 2>/dev/null
}

compiler=$cache/componentize-py/bin/componentize-py
if ! is_right "$compiler"; then
    compiler=.venv/bin/componentize-py
    if ! is_right "$compiler"; then
        python3 -c 'import ensurepip, venv' 2>/dev/null ||
            missing "Python 3.10 or newer with venv" "apt-get install python3-venv"
        python3 -m venv .venv
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r sdk/toolchain.txt
    fi
fi
"$(dirname "$compiler")/python" sdk/build.py . wit "$wasm"
