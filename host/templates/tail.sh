
eventos=${EVENTOS:-$(command -v eventos || true)}
[ -n "$eventos" ] || eventos={{eventos}}
command -v "$eventos" >/dev/null || missing "the eventos program" "set EVENTOS to where it is"
"$eventos" test "$wasm" --input samples.ndjson "$@"
