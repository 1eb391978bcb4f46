#!/bin/bash
# usage: scripts/fuzz.sh SECONDS [TARGET…]
#
# Builds the fuzz binary on the stable toolchain and feeds each target (all of them by default) for SECONDS,
# starting from fuzz/seeds/TARGET and what earlier runs found. A crash ends it with the input's path.
# Needs a C++ compiler for libFuzzer's run-time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET…]}
shift
command -v c++ >/dev/null || { echo "fuzz: no C++ compiler; run scripts/setup-tests.sh g++" >&2; exit 1; }

target_dir=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/skydive/target}-fuzz
triple=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz asks of a nightly compiler, less the sanitizer; see the flags in LLVM's SanitizerCoverage.
# --target keeps build scripts and macros out of the instrumentation.
coverage="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=$(tr '\n' ' ' <<<"$coverage") CARGO_TARGET_DIR=$target_dir \
  cargo build --release --manifest-path fuzz/Cargo.toml --target "$triple"
binary=$target_dir/$triple/release/skydive-fuzz

(($#)) || mapfile -t all < <(SKYDIVE_FUZZ_TARGET=list "$binary")
for target in "${@:-${all[@]}}"; do
  corpus=$target_dir/corpus/$target
  artifacts=fuzz/artifacts/$target
  mkdir -p "$corpus" "$artifacts" "fuzz/seeds/$target"
  echo "fuzz: $target for $seconds s"
  log=$target_dir/$target.log
  # -timeout: one input; -rss_limit_mb: growth without bound is a defect too.
  if ! SKYDIVE_FUZZ_TARGET=$target "$binary" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -max_len=65536 -artifact_prefix="$artifacts/" -print_final_stats=1 \
    "$corpus" "fuzz/seeds/$target" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "fuzz: $target failed; input in $artifacts, log in $log" >&2
    exit 1
  fi
  grep -E 'number_of_executed_units|new_units_added' "$log" | sed "s/^/fuzz: $target: /"
done
