#!/bin/sh
# Compiles every kernel, in every instance its file names, with the real NVRTC for the architectures we support, and compares what each
# costs with kernels/resources.txt: check.sh [--update]. Needs no GPU. Exit status 1: a kernel does not compile, spills registers, or
# costs other than the table says (look at the difference; if it is meant, --update and commit); 3: NVRTC could not be fetched.
set -e
here=$(cd "$(dirname "$0")" && pwd)
kernels=$(dirname "$here")
nvrtc=${PLIP_NVRTC:-${XDG_CACHE_HOME:-$HOME/.cache}/plip/nvrtc}
"$here/fetch.sh" "$nvrtc" > /dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
g++ -std=c++17 -O1 "$here/compile.cpp" -o "$work/compile" -ldl
"$work/compile" "$nvrtc/libnvrtc.so.12" "$kernels/common" sm_80,sm_89,sm_90a "$kernels"/*.cu > "$work/resources.txt" || {
    cat "$work/resources.txt"
    exit 1
}
if [ "$1" = --update ]; then
    cp "$work/resources.txt" "$kernels/resources.txt"
else
    diff -u "$kernels/resources.txt" "$work/resources.txt" || { echo "kernels cost other than kernels/resources.txt says: if that is meant, kernels/nvrtc/check.sh --update"; exit 1; }
fi
echo "$(grep -c '^ok' "$work/resources.txt") compilations of $(ls "$kernels"/*.cu | wc -l) files for 3 architectures, no spills, as kernels/resources.txt says"
