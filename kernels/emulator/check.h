// Check mode: what every byte of device memory holds, and who touched every two bytes last.
#pragma once
#include "block.h"
#include "cuda_abi.h"

namespace emu {

enum class Shadow : uint8_t { Forbidden = 0, Unwritten = 1, Written = 2, Freed = 3, Pending = 4 };
enum class Access { Read, Write, Atomic };

/// One access: which launch, block and thread, between which barriers.
struct Mark {
    uint32_t launch : 27, bytes : 2, several : 2, atomic : 1;   // bytes: which of the cell's two; several: of readers, see check.cpp
    uint32_t block;
    uint32_t thread : 10, epoch : 22;
    uint32_t clock;
};

/// The last write and the last read of two bytes: the size of a bf16, so that its neighbours are told apart.
struct Cell { Mark write, read; };

/// Shadow of a worker's shared memory.
struct SharedShadow {
    std::vector<Shadow> fixed, dynamic;        // by byte
    std::vector<Cell> fixed_cells, dynamic_cells;
};

bool open_shadow(uint64_t arena);
void set_shadow(CUdeviceptr p, size_t n, Shadow value);
bool is_written(CUdeviceptr p, size_t n);
void copy_shadow(CUdeviceptr to, CUdeviceptr from, size_t n);

/// At the start of a launch and of a block.
void prepare_shadow(Worker& w);
void clear_shadow(Worker& w);

/// The running thread touches [address, address + n).
void check_access(Worker& w, uint64_t address, unsigned n, Access access, uint64_t instruction);

/// Bytes of shared memory that a copy in the background will write, and those that it has written.
void mark_pending(Worker& w, uint64_t address, unsigned n);
void mark_landed(Worker& w, uint64_t address, unsigned n);

} // namespace emu
