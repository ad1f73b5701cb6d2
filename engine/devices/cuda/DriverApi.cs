using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// The part of libcuda that is called, as C declares it. Each returns a CUresult: pass it to <see cref="Cuda.Check"/>.
/// The names are found by <see cref="CudaLibraries"/>.
/// </summary>
internal static unsafe partial class DriverApi
{
    private const string Library = CudaLibraries.Driver;

    [LibraryImport(Library)] internal static partial int cuInit(uint flags);
    [LibraryImport(Library)] internal static partial int cuDriverGetVersion(int* version);
    [LibraryImport(Library)] internal static partial int cuDeviceGetCount(int* count);
    [LibraryImport(Library)] internal static partial int cuDeviceGet(int* device, int ordinal);
    [LibraryImport(Library)] internal static partial int cuDeviceGetName(byte* name, int length, int device);
    [LibraryImport(Library)] internal static partial int cuDeviceGetAttribute(int* value, int attribute, int device);
    [LibraryImport(Library)] internal static partial int cuDeviceTotalMem_v2(nuint* bytes, int device);
    [LibraryImport(Library)] internal static partial int cuDevicePrimaryCtxRetain(nint* context, int device);
    [LibraryImport(Library)] internal static partial int cuDevicePrimaryCtxRelease_v2(int device);
    [LibraryImport(Library)] internal static partial int cuCtxSetCurrent(nint context);
    [LibraryImport(Library)] internal static partial int cuMemGetInfo_v2(nuint* free, nuint* total);

    [LibraryImport(Library)] internal static partial int cuMemAlloc_v2(nint* pointer, nuint bytes);
    [LibraryImport(Library)] internal static partial int cuMemFree_v2(nint pointer);
    [LibraryImport(Library)] internal static partial int cuMemHostAlloc(nint* pointer, nuint bytes, uint flags);
    [LibraryImport(Library)] internal static partial int cuMemFreeHost(nint pointer);
    [LibraryImport(Library)] internal static partial int cuMemcpyHtoDAsync_v2(nint to, void* from, nuint bytes, nint stream);
    [LibraryImport(Library)] internal static partial int cuMemcpyDtoHAsync_v2(void* to, nint from, nuint bytes, nint stream);
    [LibraryImport(Library)] internal static partial int cuMemcpyDtoDAsync_v2(nint to, nint from, nuint bytes, nint stream);
    [LibraryImport(Library)] internal static partial int cuMemsetD8Async(nint at, byte value, nuint count, nint stream);

    [LibraryImport(Library)] internal static partial int cuStreamCreate(nint* stream, uint flags);
    [LibraryImport(Library)] internal static partial int cuStreamDestroy_v2(nint stream);
    [LibraryImport(Library)] internal static partial int cuStreamSynchronize(nint stream);
    [LibraryImport(Library)] internal static partial int cuStreamWaitEvent(nint stream, nint @event, uint flags);
    [LibraryImport(Library)] internal static partial int cuEventCreate(nint* @event, uint flags);
    [LibraryImport(Library)] internal static partial int cuEventDestroy_v2(nint @event);
    [LibraryImport(Library)] internal static partial int cuEventRecord(nint @event, nint stream);
    [LibraryImport(Library)] internal static partial int cuEventQuery(nint @event);
    [LibraryImport(Library)] internal static partial int cuEventSynchronize(nint @event);
    [LibraryImport(Library)] internal static partial int cuEventElapsedTime(float* milliseconds, nint start, nint end);

    [LibraryImport(Library)] internal static partial int cuModuleLoadDataEx(nint* module, void* image, uint count, int* options, void** values);
    [LibraryImport(Library)] internal static partial int cuModuleUnload(nint module);
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)] internal static partial int cuModuleGetFunction(nint* function, nint module, string name);
    [LibraryImport(Library)] internal static partial int cuFuncSetAttribute(nint function, int attribute, int value);

    [LibraryImport(Library)]
    internal static partial int cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream, void** arguments, void** extra);

    [LibraryImport(Library)] internal static partial int cuStreamBeginCapture_v2(nint stream, int mode);
    [LibraryImport(Library)] internal static partial int cuStreamEndCapture(nint stream, nint* graph);
    [LibraryImport(Library)] internal static partial int cuGraphInstantiateWithFlags(nint* executable, nint graph, ulong flags);
    [LibraryImport(Library)] internal static partial int cuGraphLaunch(nint executable, nint stream);
    [LibraryImport(Library)] internal static partial int cuGraphExecDestroy(nint executable);
    [LibraryImport(Library)] internal static partial int cuGraphDestroy(nint graph);

    /// <summary>Hopper's maps of tensors; a driver before CUDA 12 has neither.</summary>
    [LibraryImport(Library)]
    internal static partial int cuTensorMapEncodeTiled(
        nint map, int type, uint rank, nint address, ulong* extent, ulong* stride, uint* box, uint* elementStrides, int interleave, int swizzle, int promotion, int fill);

    [LibraryImport(Library)]
    internal static partial int cuTensorMapEncodeIm2col(
        nint map, int type, uint rank, nint address, ulong* extent, ulong* stride, int* lowerCorner, int* upperCorner, uint channels, uint pixels, uint* elementStrides,
        int interleave, int swizzle, int promotion, int fill);

    [LibraryImport(Library)] internal static partial int cuGetErrorName(int error, byte** name);
    [LibraryImport(Library)] internal static partial int cuGetErrorString(int error, byte** text);

    /// <summary>The emulator's alone: what it saw go wrong, with the thread and the line.</summary>
    [LibraryImport(Library)] internal static partial byte* cuEmulatorLastReport();

    /// <summary>The emulator's alone: a part of an allocation is handed out, unwritten (fresh), or nobody's until then.</summary>
    [LibraryImport(Library)] internal static partial int cuEmulatorMark(nint pointer, nuint bytes, int fresh, nint stream);

    internal const int Success = 0, InvalidValue = 1, OutOfMemory = 2, NoDevice = 100, InvalidImage = 200, NoBinaryForGpu = 209, UnsupportedPtx = 222, OutOfResources = 701;

    /// <summary>Attributes of a device.</summary>
    internal const int MaxSharedPerBlock = 8, MultiprocessorCount = 16, ComputeMajor = 75, ComputeMinor = 76, MaxSharedPerBlockOptIn = 97;

    /// <summary>The attribute of a function that lets it have more than 48 KB of dynamic shared memory.</summary>
    internal const int MaxDynamicShared = 8;

    internal const uint StreamNonBlocking = 1, EventTimed = 0, EventUntimed = 2, HostPortable = 1;

    /// <summary>While a stream is captured, other threads and this one may still allocate and load.</summary>
    internal const int CaptureRelaxed = 2;
}
