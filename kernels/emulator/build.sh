#!/bin/sh
# Builds libcuda_emulator.so into the folder given. Exit status 3: g++ is missing.
set -e
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
if ! command -v g++ > /dev/null 2>&1; then
    echo "build.sh: the CUDA emulator needs g++, which is not installed (apt-get install g++)" >&2
    exit 3
fi
# Nothing newer than the library: nothing to do.
if [ -f "$out/libcuda_emulator.so" ] && [ -z "$(find . -path ./tests -prune -o -type f -newer "$out/libcuda_emulator.so" -print -quit)" ]; then
    echo "$out/libcuda_emulator.so"
    exit 0
fi
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
flags="-std=c++17 -O2 -g1 -fPIC -fvisibility=hidden -Wall -Wextra -Wshadow -Wno-psabi -Werror=return-type"
# Two at a time: a file takes about a second.
ls ./*.cpp | xargs -P "${JOBS:-2}" -I{} sh -c 'g++ '"$flags"' -c "$1" -o "$2/$(basename "$1" .cpp).o"' _ {} "$objects"
g++ -c fibers.S -o "$objects/fibers_switch.o"
g++ -c shim.S -o "$objects/shim.o"
g++ -shared "$objects"/*.o -o "$out/libcuda_emulator.so.new" -Wl,-soname,libcuda_emulator.so -Wl,-z,defs -lpthread -ldl
mv "$out/libcuda_emulator.so.new" "$out/libcuda_emulator.so"   # at once: a process that runs it keeps the old one
echo "$out/libcuda_emulator.so"
