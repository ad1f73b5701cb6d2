// Initialisation and the primary context.
#pragma once
#include "cuda_abi.h"

namespace emu {

constexpr size_t static_shared_limit = 48 << 10;
constexpr size_t shared_limit = 227 << 10;
constexpr size_t shared_per_multiprocessor = 228 << 10;
constexpr int multiprocessors = 4;

/// CUDA_ERROR_NOT_INITIALIZED, CUDA_ERROR_INVALID_CONTEXT (none is current to this thread) or CUDA_SUCCESS.
CUresult context_error();

/// The same, or the error that sticks to the context.
CUresult device_error();

} // namespace emu
