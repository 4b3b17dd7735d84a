#!/bin/sh
# Damaged bytes for every parser: scripts/fuzz.sh [CPU-SECONDS for each target] [other arguments of packhouse-fuzz]
set -eu
seconds=${1:-${FUZZ_SECONDS:-60}}
[ $# -eq 0 ] || shift
exec cargo run --release --quiet --locked -p packhouse-fuzz -- --seconds "$seconds" "$@"
