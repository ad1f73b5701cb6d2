#!/bin/sh
# Fetches the real NVRTC 12.4 (no GPU and no toolkit needed to compile): fetch.sh DIR
# Debian's packages libnvrtc12 and libnvrtc-builtins12.4 (non-free, suite trixie), taken with apt in a private root, so that
# the machine's own sources and packages stay as they are, and unpacked, not installed. Leaves DIR/libnvrtc.so.12 and its
# builtins, and prints DIR. From the mirror the machine's own apt uses, or DEBIAN_MIRROR. Exit status 3: apt or the network is missing.
set -e
[ $# -eq 1 ] || { echo "usage: fetch.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
if [ -f "$dir/libnvrtc.so.12" ]; then echo "$dir"; exit 0; fi
command -v apt-get > /dev/null && command -v dpkg > /dev/null || { echo "fetch.sh: needs Debian's apt-get and dpkg" >&2; exit 3; }

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' 2> /dev/null | grep -v security | head -n 1)}
# No lists yet, as in a fresh container: the first address that ends as Debian's own archive does.
[ -n "$mirror" ] || mirror=$(grep -rhoE '(https?|mirror[+a-z]*)://[^] ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2> /dev/null | head -n 1)
[ -n "$mirror" ] || { echo "fetch.sh: apt's sources name no mirror of Debian: set DEBIAN_MIRROR to one" >&2; exit 3; }

root="$dir/apt"
mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/parts" "$root/unpacked"
: > "$root/status"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror trixie non-free" > "$root/sources.list"
apt() {
    apt-get -q -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts="$root/parts" -o Dir::State="$root" \
        -o Dir::State::Lists="$root/lists" -o Dir::State::status="$root/status" -o Dir::Cache="$root" \
        -o Dir::Cache::archives="$root/archives" -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures=amd64 "$@"
}
{ apt update && cd "$root/archives" && apt download libnvrtc12 libnvrtc-builtins12.4; } >&2 || { echo "fetch.sh: apt could not fetch the packages" >&2; exit 3; }
for package in "$root"/archives/*.deb; do dpkg -x "$package" "$root/unpacked"; done
find "$root/unpacked" -name 'libnvrtc*.so*' -exec mv {} "$dir/" \;
rm -rf "$root"
[ -e "$dir/libnvrtc.so.12" ] || { echo "fetch.sh: the packages hold no libnvrtc.so.12" >&2; exit 3; }
echo "$dir"
