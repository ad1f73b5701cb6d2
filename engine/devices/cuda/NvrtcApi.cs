using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>The part of NVRTC, the run-time compiler, that is called. Each returns an nvrtcResult, 0 for success.</summary>
internal static unsafe partial class NvrtcApi
{
    private const string Library = CudaLibraries.Nvrtc;

    /// <summary>The result for a source that does not compile; its log says why.</summary>
    internal const int CompilationFailed = 6;

    [LibraryImport(Library)] internal static partial int nvrtcVersion(int* major, int* minor);
    [LibraryImport(Library)] internal static partial int nvrtcCreateProgram(nint* program, byte* source, byte* name, int headers, byte** headerTexts, byte** headerNames);
    [LibraryImport(Library)] internal static partial int nvrtcDestroyProgram(nint* program);
    [LibraryImport(Library)] internal static partial int nvrtcCompileProgram(nint program, int count, byte** options);
    [LibraryImport(Library)] internal static partial int nvrtcGetProgramLogSize(nint program, nuint* bytes);
    [LibraryImport(Library)] internal static partial int nvrtcGetProgramLog(nint program, byte* log);
    [LibraryImport(Library)] internal static partial int nvrtcGetCUBINSize(nint program, nuint* bytes);
    [LibraryImport(Library)] internal static partial int nvrtcGetCUBIN(nint program, byte* image);
    [LibraryImport(Library)] internal static partial int nvrtcGetNumSupportedArchs(int* count);
    [LibraryImport(Library)] internal static partial int nvrtcGetSupportedArchs(int* architectures);
    [LibraryImport(Library)] internal static partial byte* nvrtcGetErrorString(int result);
}
