#!/bin/sh
# Builds the emulator and its tests, and runs them: test.sh [OUTDIR] [WORD], WORD a part of names or
# "measure" (figures instead of tests). Exit status 3: g++ is missing.
set -e
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-${TMPDIR:-/tmp}/plip-emulator-tests}
mkdir -p "$out"
out=$(cd "$out" && pwd)
"$here/build.sh" "$out"
if [ ! -f "$out/emulator_tests" ] || [ -n "$(find "$here/tests" -newer "$out/emulator_tests" -name '*.[ch]*' -print -quit)" ]; then
    g++ -std=c++17 -O1 -g1 -Wall -Wextra -Wshadow -Wno-psabi "$here"/tests/*.cpp -o "$out/emulator_tests" -ldl -lpthread
fi
ulimit -c 0   # some tests fault on purpose
exec "$out/emulator_tests" "$out/libcuda_emulator.so" "$here/tests/kernels" "$here/../common" ${2:+"$2"}
