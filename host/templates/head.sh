#!/bin/sh
# Builds {{name}}.wasm and runs it on samples.ndjson. Arguments are passed to `eventos test`: ./build.sh --set {{set}}
# $EVENTOS is the path of the eventos program. If it is not set, the script uses the one on PATH, or else the one that
# created this folder.
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

