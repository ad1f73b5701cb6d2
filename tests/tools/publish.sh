#!/bin/sh
# Tries what tools/publish made: another folder, an empty environment, no .NET in the path.
#   tests/tools/publish.sh FOLDER [EMULATOR]        EMULATOR: libcuda_emulator.so; without it CUDA is left out, and said to be
# Each part prints a line; the exit status is 0 when all held.
set -u
published=$(cd "$1" && pwd)
emulator=${2:+$(readlink -f "$2")}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cp -r "$published" "$here/program"
# A path with everything but .NET.
mkdir "$here/bin" && ln -s /usr/bin/* "$here/bin/" && rm -f "$here/bin/dotnet"
mkdir "$here/elsewhere" && cd "$here/elsewhere" || exit 1
status=0

# The temporary folder is here too: nothing may be needed of what lies around it.
bare() { env -i PATH="$here/bin" TMPDIR="$here" PLIP_CACHE="$here/cache" "$@"; }
plip() { bare "$here/program/plip" "$@"; }
cuda() { bare PLIP_CUDA=emulator PLIP_CUDA_EMULATOR="$emulator" "$here/program/plip" "$@"; }
part() { # name, command...
  name=$1; shift
  if "$@" >"$here/log" 2>&1; then echo "ok   $name"; else echo "FAIL $name (exit status $?)"; sed 's/^/       /' "$here/log" | tail -20; status=1; fi
}
holds() { grep -q -- "$1" "$here/log.held" || { echo "\"$1\" is not in what was printed"; return 1; }; }
prints() { expected=$1; shift; "$@" >"$here/log.held" 2>&1; code=$?; cat "$here/log.held"; holds "$expected" && return $code; }

cat >tiny.json <<'JSON'
{
  "name": "very-small", "image": { "height": 64, "width": 32 },
  "visual": { "type": "modified-resnet", "layers": [1, 1, 1, 1], "width": 4 },
  "text": { "layers": 2, "width": 16, "heads": 2, "maxTokens": 40, "positions": 40, "dropout": 0.1 },
  "tasks": { "tic": { "channels": 16 } },
  "training": { "steps": 2, "batchSize": 4, "learningRate": 0.001, "validateEvery": 2, "workers": 1 }
}
JSON

bare sh -c '! command -v dotnet' || { echo "FAIL dotnet is in the path: this would prove nothing"; status=1; }
part "doctor" prints "picture codec  ok" plip doctor
for build in avx2 avx512; do
  [ -x "$here/program/plip-$build" ] || continue
  [ $build = avx512 ] && ! grep -q avx512vl /proc/cpuinfo && { echo "skip $build: not this processor's"; continue; }
  case $build in avx2) bits=256 ;; avx512) bits=512 ;; esac
  part "$build: $bits-bit vectors" prints "$bits-bit vectors" bare "$here/program/plip-$build" doctor
done
part "wrong use is one line" sh -c '! "$0" pretrain --devise cuda 2>&1 | sed -n 2p | grep .' "$here/program/plip"
part "data make" plip data make --identities 15 --test 3 --val 3 --images 2 --height 64 --out world
part "pretrain on the CPU" plip pretrain --config tiny.json --data world --out cpu
part "embed" prints "rows of 16" plip embed --checkpoint cpu/checkpoints/best --images world --out pictures.npy
part "colorize" plip colorize --checkpoint cpu/checkpoints/best --image "$(find world -name '*.jpg' -o -name '*.png' | sort | head -1)" --text "a man in a red coat" --swap blue --out colours.png
part "colorize left a picture" test -s colours.png
part "quickstart" plip quickstart --budget 20 --out quickstart
part "quickstart left its report" test -s quickstart/report.html -a -s quickstart/result.json
part "no GPU is one clear line" sh -c '! "$0" pretrain --config tiny.json --data world --out none --device cuda 2>err && grep -q "^plip: the CUDA driver was not found" err' "$here/program/plip"
if [ -n "$emulator" ]; then
  part "doctor on the emulator" prints "cuda kernels   ok" cuda doctor
  part "pretrain on the emulator" cuda pretrain --config tiny.json --data world --out cuda --device cuda
  part "its checkpoint is whole" prints "rows of 16" plip embed --checkpoint cuda/checkpoints/best --images world --out cuda.npy
else
  echo "skip CUDA: no emulator was given"
fi
exit $status
