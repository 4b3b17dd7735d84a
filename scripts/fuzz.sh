#!/bin/sh
# Damaged bytes for every parser: scripts/fuzz.sh [CPU-SECONDS for each target] [other arguments of packhouse-fuzz]
# FUZZ_PROFILE=dev takes what `cargo test` has built.
set -eu
seconds=${1:-${FUZZ_SECONDS:-60}}
[ $# -eq 0 ] || shift
exec cargo run --profile "${FUZZ_PROFILE:-release}" --quiet --locked -p packhouse-fuzz -- --seconds "$seconds" "$@"
