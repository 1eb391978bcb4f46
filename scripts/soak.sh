#!/bin/bash
# usage: scripts/soak.sh [TARGET]
#
# The long runs, with a dated report in $CARGO_TARGET_DIR/soak: every test SOAK_ROUNDS times (default 20), then
# every fuzz target SOAK_FUZZ_SECONDS (default 3600). With a TARGET nothing but that fuzz target.
# Crash loops and load of the whole system join as they exist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/skydive/target}
export SKYDIVE_BIN=$CARGO_TARGET_DIR/ci/skydive
rounds=${SOAK_ROUNDS:-20}
seconds=${SOAK_FUZZ_SECONDS:-3600}
out=$CARGO_TARGET_DIR/soak
mkdir -p "$out"
report=$out/$(date -u +%Y%m%d-%H%M%S).txt
say() { echo "$(date -u +%H:%M:%S) $*" | tee -a "$report"; }

scripts/setup-tests.sh g++
say "commit $(git rev-parse HEAD), kernel $(uname -r), $(nproc) cores"
failed=0
if (($#)); then
  rounds=0
else
  scripts/vm-image.sh
  scripts/python-clients.sh >/dev/null
  scripts/python-clients.sh openapi >/dev/null
  cargo build --profile ci -p skydive
fi
for round in $(seq "$rounds"); do
  if cargo test -q --profile ci --workspace >"$out/tests.log" 2>&1 </dev/null; then
    say "tests: round $round of $rounds passed"
  else
    failed=$((failed + 1))
    cp "$out/tests.log" "${report%.txt}-round$round.log"
    say "tests: round $round of $rounds FAILED, see ${report%.txt}-round$round.log"
  fi
done
if scripts/fuzz.sh "$seconds" "$@" 2>&1 | tee -a "$report"; then
  say "fuzz: no crash"
else
  failed=$((failed + 1))
  say "fuzz: FAILED"
fi
say "done, $failed failures; report in $report"
((failed == 0))
