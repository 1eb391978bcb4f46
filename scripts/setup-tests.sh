#!/bin/bash
# usage: scripts/setup-tests.sh [PACKAGE…]
#
# Installs from Debian's packages what the tests need, and what is named; says nothing and returns at once
# when all is there. Needs root only when something is missing.
set -euo pipefail

# package: why
PACKAGES=(
  iproute2         # testnet makes namespaces and links with ip and bridge
  iputils-ping     # traffic
  ethtool          # features and drivers seen from outside
  util-linux       # unshare, nsenter, setpriv
  qemu-system-x86  # testnet::vm
  busybox-static   # the virtual machine's user space
  kmod             # depmod and modprobe, for the virtual machine's modules
  cpio             # the virtual machine's image
  tcpdump          # filters are compared with its
  tshark           # reads the same captures: tshark, capinfos, editcap, mergecap
  iperf3           # traffic
  curl             # traffic
  bind9-dnsutils   # traffic: dig
  dnsmasq-base     # answers dig
  python3-scapy    # builds and reads the same packets
  python3-venv     # scripts/python-clients.sh
)

missing=()
for package in "${PACKAGES[@]}" "$@"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
  echo "setup-tests: missing packages: ${missing[*]}" >&2
  echo "setup-tests: run once as root: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "setup-tests: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get -q -o DPkg::Lock::Timeout=900 update &&
  apt-get -q -o DPkg::Lock::Timeout=900 install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  exit 1
fi
