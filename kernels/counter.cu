// counter.cu: one more.          compiled once
//   maths    n += 1
//   traffic  16 bytes
//   launch   one thread
//   care     counted on the device, so that a step neither waits for the host nor goes uncounted when a captured graph is replayed
//   see      engine/ops/Counter.cs · LayerTests
#include "types.cuh"

extern "C" __global__ void increment(i64* counter) { *counter += 1; }
