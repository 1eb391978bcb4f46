#!/bin/bash
# Builds what the tests' virtual machine boots: Debian's cloud kernel and a base initramfs with busybox,
# ip, bridge, ethtool, ovs-dpctl and the modules of the link kinds that a host kernel may lack.
#
# Writes vmlinuz and base.cpio into ${XDG_CACHE_HOME:-$HOME/.cache}/skydive/vm; does nothing when they
# are there and this script has not changed. Needs: apt-get, dpkg-deb, busybox-static, kmod (depmod,
# modprobe), cpio, iproute2, ethtool (scripts/setup-tests.sh installs them). Needs no root.
# crates/testnet/src/vm.rs says how the result is used.
set -euo pipefail

# Loaded on demand by the guest's modprobe; here only to be in the image, with what they depend on.
MODULES="dummy 8021q bonding vrf ipvlan ipvtap macvlan macvtap geneve vxlan ip_gre ip6_gre ipip sit
  ip6_tunnel ip_vti xfrm_interface wireguard team team_mode_roundrobin team_mode_activebackup
  team_mode_loadbalance mpls_router mpls_iptunnel veth bridge openvswitch vport-vxlan vport-geneve
  vport-gre tun tap ifb macsec hsr batman-adv nlmon vcan sch_fq_codel
  libchacha20poly1305 chacha20poly1305 curve25519-x86_64 nf_conntrack"
# Missing in this kernel is allowed for these: they are welcome, no test counts on them.
OPTIONAL="vcan hsr batman-adv macsec xfrm_interface nlmon sch_fq_codel ip_vti curve25519-x86_64 ipvtap chacha20poly1305"
# Programs of packages that are not worth an installation; with the libraries they link.
OVS_PACKAGES="openvswitch-switch libxdp1 libunbound8 libevent-2.1-7 libhogweed6 libnettle8 libgmp10
  libnuma1 libssl3 libbpf1 libelf1 libcap-ng0 zlib1g"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/skydive/vm
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
self=$(sha256sum <"${BASH_SOURCE[0]}" | cut -c1-16)
if [[ -s $cache/vmlinuz && -s $cache/base.cpio && $(cat "$cache/stamp" 2>/dev/null || true) == "$self" ]]; then
  exit 0
fi

echo "vm-image: building the virtual machine's kernel and base image (once)"
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

refresh() { # package lists that are missing or name versions that are gone
  ((EUID == 0)) || { echo "vm-image: run apt-get update as root" >&2; exit 1; }
  apt-get -q -o DPkg::Lock::Timeout=900 update >update.log 2>&1 || { cat update.log >&2; exit 1; }
}
download() { # apt-get download tries to drop to another user, who may not write here
  apt-get -q -o APT::Sandbox::User= download "$@" >download.log 2>&1 || { cat download.log >&2; return 1; }
}
kernel_package() {
  apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends:/ && !found {print $2; found = 1}'
}

kernel=$(kernel_package || true)
if [[ -z $kernel ]] || ! download "$kernel" 2>/dev/null; then
  refresh
  kernel=$(kernel_package)
fi
ls "$kernel"_*.deb >/dev/null 2>&1 || download "$kernel"
dpkg-deb -x "$kernel"_*.deb kernel
version=$(ls kernel/lib/modules)

base=$work/base
mkdir -p "$base"/{bin,sbin,usr/bin,usr/sbin,etc/modprobe.d,proc,sys,dev,run,tmp,root,out,var/run,lib/modules}

# Modules with their dependencies; the list of optional ones is not an error.
depmod -b kernel "$version"
for module in $MODULES; do
  if ! files=$(modprobe -d kernel -S "$version" --show-depends "$module" 2>/dev/null); then
    [[ " $OPTIONAL " == *" $module "* ]] || { echo "vm-image: kernel $version has no module $module" >&2; exit 1; }
    continue
  fi
  awk '$1 == "insmod" {print $2}' <<<"$files"
done | sort -u | while read -r file; do
  file=${file#"$work/"}
  target=$base/${file#kernel/}
  mkdir -p "$(dirname "$target")"
  cp "$file" "$target"
done
cp kernel/lib/modules/"$version"/modules.{builtin,builtin.modinfo,order} "$base/lib/modules/$version/"
depmod -b "$base" "$version"

# Programs, each with the libraries it links at the paths where it looks for them.
copy_program() { # host file, guest path, [directory of further libraries]
  cp -L "$1" "$base/$2"
  LD_LIBRARY_PATH=${3:-} ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3} $1 ~ /^\// {print $1, $1}' |
    while read -r name file; do
      # The loader is asked for by its path, all others are looked up in the default directory.
      [[ $name == /* ]] && to=$base$name || to=$base/lib/x86_64-linux-gnu/$name
      mkdir -p "$(dirname "$to")"
      [[ -e $to ]] || cp -L "$file" "$to"
    done
  if LD_LIBRARY_PATH=${3:-} ldd "$1" | grep -q 'not found'; then
    echo "vm-image: $1 links libraries that are not there" >&2
    exit 1
  fi
}
find_program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }
cp "$(find_program busybox)" "$base/bin/busybox"
# Busybox's own shell runs its own `ip` whatever PATH says; scripts get the host's shell.
copy_program "$(find_program dash)" bin/dash
for program in ip bridge ethtool; do copy_program "$(find_program "$program")" "usr/sbin/$program"; done
mkdir ovs
# shellcheck disable=SC2086  # the list is meant to be split
download $OVS_PACKAGES
rm "$kernel"_*.deb
for package in ./*.deb; do dpkg-deb -x "$package" ovs; done
copy_program ovs/usr/bin/ovs-dpctl usr/sbin/ovs-dpctl \
  "$work/ovs/usr/lib/x86_64-linux-gnu:$work/ovs/lib/x86_64-linux-gnu"

echo 'root:x:0:0:root:/root:/bin/sh' >"$base/etc/passwd"
# No devices that nobody asked for: a module is loaded by the first `ip link add` of its kind.
cat >"$base/etc/modprobe.d/quiet.conf" <<'OPTIONS'
options dummy numdummies=0
options bonding max_bonds=0
options ifb numifbs=0
OPTIONS
# The order of events here is the protocol with crates/testnet/src/vm.rs.
cat >"$base/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
rm -f /bin/ip /bin/sh
ln -s dash /bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm /dev/net /run/netns
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ln -s /proc/self/fd /dev/fd
ln -s /bin/busybox /sbin/modprobe
echo /sbin/modprobe >/proc/sys/kernel/modprobe
hostname guest
# Raw: what goes to the second port arrives byte for byte.
stty -F /dev/ttyS1 raw -echo
cd /root
echo "testnet: start"
/test.sh </dev/null 2>&1
echo "testnet: exit $?"
tar -cf /dev/ttyS1 -C /out .
# Waits until the port has sent everything: poweroff does not.
stty -F /dev/ttyS1 raw
poweroff -f
INIT
chmod 755 "$base/init"

# Not compressed: the emulated processor would spend longer on inflating than on copying.
(cd base && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >base.cpio
cp kernel/boot/vmlinuz-"$version" vmlinuz
mv vmlinuz base.cpio "$cache/"
echo "$version" >"$cache/kernel-version"
echo "$self" >"$cache/stamp"
echo "vm-image: kernel $version, base image $(($(stat -c %s "$cache/base.cpio") >> 20)) MiB"
