#!/bin/bash
# usage: scripts/generate.sh DIRECTORY
#
# Writes into DIRECTORY the pages of docs/ that come from the code; `make generate` does it for docs itself,
# .ci/run for a fresh directory and compares. Needs the quick build of the binary.
set -euo pipefail

out=${1:?usage: scripts/generate.sh DIRECTORY}
target_dir=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/skydive/target}
binary=${SKYDIVE_BIN:-$target_dir/ci/skydive}

"$binary" config reference >"$out/configuration.md"
