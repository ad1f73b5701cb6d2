using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>The part of cuBLASLt that is called. Each returns a cublasStatus_t, 0 for success.</summary>
internal static unsafe partial class CublasLtApi
{
    private const string Library = CudaLibraries.CublasLt;

    [LibraryImport(Library)] internal static partial int cublasLtCreate(nint* handle);
    [LibraryImport(Library)] internal static partial int cublasLtDestroy(nint handle);
    [LibraryImport(Library)] internal static partial nuint cublasLtGetVersion();
    [LibraryImport(Library)] internal static partial byte* cublasLtGetStatusString(int status);
    [LibraryImport(Library)] internal static partial int cublasLtMatmulDescCreate(nint* description, int computeType, int scaleType);
    [LibraryImport(Library)] internal static partial int cublasLtMatmulDescDestroy(nint description);
    [LibraryImport(Library)] internal static partial int cublasLtMatmulDescSetAttribute(nint description, int attribute, void* value, nuint bytes);
    [LibraryImport(Library)] internal static partial int cublasLtMatrixLayoutCreate(nint* layout, int type, ulong rows, ulong cols, long leading);
    [LibraryImport(Library)] internal static partial int cublasLtMatrixLayoutDestroy(nint layout);
    [LibraryImport(Library)] internal static partial int cublasLtMatrixLayoutSetAttribute(nint layout, int attribute, void* value, nuint bytes);
    [LibraryImport(Library)] internal static partial int cublasLtMatmulPreferenceCreate(nint* preference);
    [LibraryImport(Library)] internal static partial int cublasLtMatmulPreferenceDestroy(nint preference);
    [LibraryImport(Library)] internal static partial int cublasLtMatmulPreferenceSetAttribute(nint preference, int attribute, void* value, nuint bytes);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatmulAlgoGetHeuristic(
        nint handle, nint description, nint a, nint b, nint c, nint d, nint preference, int wanted, HeuristicResult* results, int* found);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatmul(
        nint handle, nint description, float* alpha, nint a, nint layoutA, nint b, nint layoutB, float* beta, nint c, nint layoutC, nint d, nint layoutD,
        Algorithm* algorithm, nint workspace, nuint workspaceBytes, nint stream);

    internal const int Success = 0, NotSupported = 15;

    /// <summary>cudaDataType_t.</summary>
    internal const int F32 = 0, F16 = 2, BF16 = 14;

    /// <summary>cublasComputeType_t: sums in F32; with TF32, products of F32 operands cut to ten bits.</summary>
    internal const int Compute32F = 68, Compute32FFastTF32 = 77;

    /// <summary>Attributes of a product.</summary>
    internal const int TransA = 3, TransB = 4, Epilogue = 7, BiasPointer = 8, AuxPointer = 11, AuxLeading = 12;

    /// <summary>Attributes of a matrix.</summary>
    internal const int BatchCount = 5, BatchStride = 6;

    /// <summary>Attributes of what is wanted of an algorithm.</summary>
    internal const int MaxWorkspace = 1, AlignmentA = 5, AlignmentB = 6, AlignmentC = 7, AlignmentD = 8;

    /// <summary>cublasLtEpilogue_t: bits that are added.</summary>
    internal const int EpilogueNone = 1, EpilogueBias = 4, EpilogueGelu = 32, EpilogueAux = 128;

    /// <summary>cublasLtMatmulAlgo_t: 64 bytes that only cuBLASLt reads.</summary>
    [InlineArray(8)]
    internal struct Algorithm
    {
        private ulong _data;
    }

    /// <summary>cublasLtMatmulHeuristicResult_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct HeuristicResult
    {
        public Algorithm Algorithm;
        public nuint WorkspaceBytes;
        public int State;
        public float Waves;
        public Unused Reserved;

        [InlineArray(4)]
        internal struct Unused
        {
            private int _data;
        }
    }
}
