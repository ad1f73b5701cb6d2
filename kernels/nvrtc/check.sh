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
# A file for each core at a time, those that take minutes first: products on tensor cores are unrolled.
files=$(cd "$kernels" && ls ./*.cu ladder/*.cu | sed 's|^\./||' | LC_ALL=C sort)
long=$(cd "$kernels" && grep -lE '_mma|_product|mma\.cuh' $files)
if ! echo "$long $files" | tr ' ' '\n' | awk '!seen[$0]++' | xargs -P "$(nproc)" -I{} sh -c '"$1/compile" "$2/libnvrtc.so.12" "$3/common" sm_80,sm_89,sm_90a "$3/$4" > "$1/$(echo "$4" | tr / -).txt"' _ "$work" "$nvrtc" "$kernels" {}; then
    grep -h -B4 -A12 '^FAIL' "$work"/*.txt
    exit 1
fi
for file in $files; do cat "$work/$(echo "$file" | tr / -).txt"; done > "$work/resources.table"
if [ "$1" = --update ]; then
    cp "$work/resources.table" "$kernels/resources.txt"
else
    diff -u "$kernels/resources.txt" "$work/resources.table" || { echo "kernels cost other than kernels/resources.txt says: if that is meant, kernels/nvrtc/check.sh --update"; exit 1; }
fi
echo "$(grep -c '^ok' "$work/resources.table") compilations of $(echo "$files" | wc -l) files for 3 architectures, no spills, as kernels/resources.txt says"
