using static Plip.Engine.CublasLtApi;

namespace Plip.Engine;

/// <summary>
/// Matrix products by cuBLASLt, rows lying one behind the other as everywhere in the engine. cuBLASLt thinks in columns, where the same
/// memory is the transpose: it is asked for Cᵀ = Bᵀ·Aᵀ, which needs no copy. Sums are F32 whatever the operands are stored as.
/// </summary>
/// <remarks>
/// What cuBLASLt recommends for a shape is asked once and kept, so the same shape runs the same algorithm, which gives the same bits.
/// TF32 is off unless the device is told otherwise: it cuts F32 operands to ten bits.
/// </remarks>
internal sealed unsafe class CudaGemm : IDisposable
{
    private const long SmallWorkspace = 8 << 20, LargeWorkspace = 32 << 20; // what NVIDIA recommends before Hopper and from it on

    private readonly CudaDevice _device;
    private readonly nint _handle, _workspace;
    private readonly long _workspaceBytes;
    private readonly Dictionary<Key, Plan> _plans = [];

    public CudaGemm(CudaDevice device)
    {
        _device = device;
        CudaLibraries.Current.Require(CudaLibraries.CublasLt);
        nint handle;
        Check(cublasLtCreate(&handle), "cublasLtCreate");
        _handle = handle;
        _workspaceBytes = device.Description.Capability >= 90 ? LargeWorkspace : SmallWorkspace;
        _workspace = device.TakeForever(_workspaceBytes, "cuBLASLt's workspace");
    }

    /// <summary>
    /// C (batch × m × n) = op(A)·op(B), plus a bias of n for each row when given, or added to C. A is m × k or, transposed, k × m as it lies; B is
    /// k × n or n × k.
    /// </summary>
    /// <param name="bias">n elements stored as C is.</param>
    /// <param name="preActivation">
    /// When given, C is GELU of the result, in its form with tanh, which is all cuBLASLt has, and the result itself goes here. n is then a multiple of 8.
    /// </param>
    /// <param name="accumulate">Add to what C holds.</param>
    public void Run(
        Tensor c, Tensor a, Tensor b, bool transA, bool transB, int m, int n, int k,
        int batch = 1, Tensor? bias = null, Tensor? preActivation = null, bool accumulate = false)
    {
        if (m == 0 || n == 0 || batch == 0) return;
        if (k == 0) throw new ArgumentException($"a product of {a.Shape} and {b.Shape} sums nothing: cuBLASLt takes no such product");
        if ((bias ?? c).DType != c.DType) throw new ArgumentException($"a bias of {bias!.DType} for a result of {c.DType}: cuBLASLt takes a bias of the result's type; convert it with Ops.Cast");
        if (preActivation != null && n % 8 != 0) throw new ArgumentException($"GELU with a product of {n} columns: cuBLASLt takes multiples of 8; use Ops.Gelu");
        var key = new Key(
            m, n, k, batch, transA, transB, a.DType, b.DType, c.DType, _device.AllowTf32, bias != null, preActivation != null,
            Alignment(a), Alignment(b), Alignment(c));
        if (!_plans.TryGetValue(key, out var plan)) _plans[key] = plan = new Plan(key);
        if (bias != null) plan.Set(BiasPointer, bias.Address);
        if (preActivation != null) plan.Set(AuxPointer, preActivation.Address);
        if (!plan.IsChosen) plan.Choose(_handle, key, _workspaceBytes);
        float one = 1, beta = accumulate ? 1 : 0;
        fixed (Algorithm* algorithm = &plan.Algorithm)
            Check(
                cublasLtMatmul(
                    _handle, plan.Description, &one, b.Address, plan.LayoutB, a.Address, plan.LayoutA, &beta, c.Address, plan.LayoutC, c.Address, plan.LayoutC,
                    algorithm, _workspace, (nuint)_workspaceBytes, _device.Stream), key.ToString());
    }

    /// <summary>Frees the plans; the workspace goes with the device.</summary>
    public void Dispose()
    {
        foreach (var plan in _plans.Values) plan.Dispose();
        _ = cublasLtDestroy(_handle);
    }

    /// <summary>cuBLASLt may read 16 bytes at a time only where the operands allow it.</summary>
    private static uint Alignment(Tensor x)
    {
        var lowest = (ulong)x.Address & (ulong)-x.Address;
        return (uint)Math.Min(lowest, 256);
    }

    private static void Check(int status, string what)
    {
        if (status == Success) return;
        throw new CudaException(
            $"cuBLASLt: {Cuda.Text(cublasLtGetStatusString(status))} in {what}; {(status == NotSupported ? "store the operands as one type, F32 or BF16" : "report this with the message")}", status);
    }

    /// <summary>All that decides which algorithm is best.</summary>
    private readonly record struct Key(
        int M, int N, int K, int Batch, bool TransA, bool TransB, DType A, DType B, DType C, bool Tf32, bool Bias, bool Gelu, uint AlignA, uint AlignB, uint AlignC);

    private sealed class Plan : IDisposable
    {
        public Algorithm Algorithm;

        public Plan(in Key key)
        {
            nint description;
            CublasCheck(cublasLtMatmulDescCreate(&description, key.Tf32 ? Compute32FFastTF32 : Compute32F, CublasLtApi.F32), key);
            Description = description;
            Set(TransA, key.TransB ? 1 : 0);
            Set(TransB, key.TransA ? 1 : 0);
            if (key.Bias || key.Gelu) Set(Epilogue, (key.Bias ? EpilogueBias : 0) | (key.Gelu ? EpilogueGelu | EpilogueAux : 0));
            if (key.Gelu) Set(AuxLeading, (long)key.N);
            LayoutB = Layout(key.B, key.TransB ? key.K : key.N, key.TransB ? key.N : key.K, key);
            LayoutA = Layout(key.A, key.TransA ? key.M : key.K, key.TransA ? key.K : key.M, key);
            LayoutC = Layout(key.C, key.N, key.M, key);
        }

        /// <summary>Asks for the best algorithm, once the pointers are set: with a bias, cuBLASLt wants to see one.</summary>
        public void Choose(nint handle, in Key key, long workspaceBytes)
        {
            nint preference;
            CublasCheck(cublasLtMatmulPreferenceCreate(&preference), key);
            Prefer(preference, MaxWorkspace, (ulong)workspaceBytes);
            Prefer(preference, AlignmentA, key.AlignB);
            Prefer(preference, AlignmentB, key.AlignA);
            Prefer(preference, AlignmentC, key.AlignC);
            Prefer(preference, AlignmentD, key.AlignC);
            HeuristicResult best = default;
            int found;
            var status = cublasLtMatmulAlgoGetHeuristic(handle, Description, LayoutB, LayoutA, LayoutC, LayoutC, preference, 1, &best, &found);
            _ = cublasLtMatmulPreferenceDestroy(preference);
            CublasCheck(status, key);
            CublasCheck(found == 0 ? NotSupported : best.State, key);
            (Algorithm, IsChosen) = (best.Algorithm, true);
        }

        public bool IsChosen { get; private set; }

        public nint Description { get; }

        public nint LayoutA { get; }

        public nint LayoutB { get; }

        public nint LayoutC { get; }

        public void Set<T>(int attribute, T value) where T : unmanaged =>
            CublasCheck(cublasLtMatmulDescSetAttribute(Description, attribute, &value, (nuint)sizeof(T)), default);

        public void Dispose()
        {
            _ = cublasLtMatrixLayoutDestroy(LayoutA);
            _ = cublasLtMatrixLayoutDestroy(LayoutB);
            _ = cublasLtMatrixLayoutDestroy(LayoutC);
            _ = cublasLtMatmulDescDestroy(Description);
        }

        /// <summary>rows × cols in columns, without gaps.</summary>
        private static nint Layout(DType type, int rows, int cols, in Key key)
        {
            nint layout;
            CublasCheck(cublasLtMatrixLayoutCreate(&layout, TypeOf(type), (ulong)rows, (ulong)cols, rows), key);
            if (key.Batch == 1) return layout;
            var (count, stride) = (key.Batch, (long)rows * cols);
            CublasCheck(cublasLtMatrixLayoutSetAttribute(layout, BatchCount, &count, sizeof(int)), key);
            CublasCheck(cublasLtMatrixLayoutSetAttribute(layout, BatchStride, &stride, sizeof(long)), key);
            return layout;
        }

        private static void Prefer<T>(nint preference, int attribute, T value) where T : unmanaged =>
            CublasCheck(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, (nuint)sizeof(T)), default);

        private static int TypeOf(DType type) => type switch
        {
            DType.F32 => CublasLtApi.F32,
            DType.BF16 => CublasLtApi.BF16,
            DType.F16 => CublasLtApi.F16,
            _ => throw new NotSupportedException($"cuBLASLt multiplies F32, BF16 or F16, not {type}; convert with Ops.Cast"),
        };

        private static void CublasCheck(int status, in Key key)
        {
            if (status != Success) Check(status, key.ToString());
        }
    }
}

public sealed unsafe partial class CudaDevice
{
    private CudaGemm? _gemm;

    /// <summary>
    /// Lets products of F32 tensors round their operands to TF32 (ten bits) on tensor cores: several times faster, three digits. Off by default.
    /// </summary>
    public bool AllowTf32 { get; set; }

    /// <summary>Matrix products. cuBLASLt is loaded at the first use.</summary>
    internal CudaGemm Gemm
    {
        get
        {
            Enter();
            return _gemm ??= new CudaGemm(this);
        }
    }

    /// <summary>Memory that no step owns and that goes with the device.</summary>
    internal nint TakeForever(long bytes, string madeBy) => _memory.Take(bytes, madeBy, _finish);

    private void DisposeGemm() => _gemm?.Dispose();
}
