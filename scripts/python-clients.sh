#!/bin/bash
# usage: scripts/python-clients.sh [FOLDER]
#
# Installs Python clients of ours, from PyPI, and prints the directory with their programs and `python`: those of
# tests/FOLDER, without one the clients of the original in tests/clients.
#
# The versions and their digests stand in tests/FOLDER/requirements.txt. They go to
# ${XDG_CACHE_HOME:-$HOME/.cache}/skydive/python-FOLDER, once; the system's Python packages stay as they are.
# Needs: python3-venv (scripts/setup-tests.sh installs it). Needs no root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-clients}
requirements=tests/$folder/requirements.txt
cache=${XDG_CACHE_HOME:-$HOME/.cache}/skydive/python-$folder
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

# Another version stands beside this one: whoever uses it goes on.
place=$cache/$(cat "$requirements" scripts/python-clients.sh | sha256sum | cut -c1-16)
if [[ ! -e $place/complete ]]; then
  echo "python-clients: installing what $requirements names (once)" >&2
  rm -rf "$place"
  log=$cache/log
  # Debian's Python, whatever other one stands first in the path.
  if ! { /usr/bin/python3 -m venv "$place" && "$place/bin/pip" install --no-input --disable-pip-version-check \
    --no-deps --no-build-isolation --require-hashes -r "$requirements" && "$place/bin/pip" check; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    exit 1
  fi
  touch "$place/complete"
fi
echo "$place/bin"
