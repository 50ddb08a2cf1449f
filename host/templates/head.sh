#!/bin/sh
# Builds {{name}}.wasm, and runs it on samples.ndjson. Arguments go to `eventos test`: ./build.sh --set {{set}}
# $EVENTOS names the eventos program; without it, it is looked for on PATH, and where it was when this folder was made.
set -eu
case ${EVENTOS:-} in
/*) ;;
*/*) EVENTOS=$PWD/$EVENTOS ;;
esac
cd "$(dirname "$0")"
wasm={{name}}.wasm
cache=${XDG_CACHE_HOME:-$HOME/.cache}/eventos

missing() {
    echo "error: $1 is missing; $2" >&2
    exit 1
}

