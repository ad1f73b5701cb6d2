using static Plip.Engine.DriverApi;

namespace Plip.Engine;

public sealed unsafe partial class CudaDevice
{
    private const int MaxArguments = 32;

    private readonly KernelTable _kernels;

    /// <summary>Tensor maps of this device's tensors.</summary>
    internal TensorMapCache TensorMaps { get; } = new();

    /// <summary>Kernel files this device had to compile.</summary>
    internal int Compilations => _kernels.Compilations;

    /// <summary>Counts the launches from here on, when it is not null.</summary>
    internal LaunchCensus? Census { get; set; }

    /// <summary>Runs an op's kernel.</summary>
    internal void Launch<TKernel>(DType type, TKernel kernel) where TKernel : struct, ICudaKernel
    {
        Enter();
        using var measured = Profiler?.Begin(ProfileKind.Kernel, kernel.Work) ?? default;
        kernel.Run(this, type);
    }

    /// <summary>
    /// Launches a kernel: <c>gpu.Launch("layer_norm", "layer_norm_forward", [("TYPE", type), ("COLS", cols)], Launch.WarpPerRow(rows), y, x, rows)</c>.
    /// Allocates nothing once the kernel is loaded.
    /// </summary>
    /// <param name="file">kernels/<i>file</i>.cu.</param>
    /// <param name="name">An extern "C" kernel in it.</param>
    /// <param name="defines">The constants it is compiled with.</param>
    /// <param name="shape">Grid, block, shared memory. An empty grid launches nothing.</param>
    /// <param name="arguments">The kernel's parameters, each of its type: a tensor is a pointer, an int an int, a long an i64, a float a float, tensor maps theirs.</param>
    /// <exception cref="InvalidOperationException">An argument is not of its parameter's type.</exception>
    /// <exception cref="CudaLaunchException">An earlier kernel failed, or this one cannot be launched so.</exception>
    internal void Launch(
        string file, string name, ReadOnlySpan<Define> defines, in Launch shape, params ReadOnlySpan<KernelArgument> arguments)
    {
        Enter();
        if (arguments.Length > MaxArguments) throw new ArgumentException($"{name}: {arguments.Length} arguments, more than {MaxArguments}");
        if (shape.IsEmpty) return;
        var kernel = _kernels.Get(file, name, defines);
        kernel.Signature.Check(arguments);
        if (shape.SharedBytes > kernel.SharedAllowed)
        {
            if (shape.SharedBytes > Description.SharedBytes)
                throw new CudaLaunchException($"{name}: {shape.SharedBytes} bytes of shared memory, and a block of this GPU has {Description.SharedBytes}; use shorter rows or smaller tiles", 0);
            Cuda.Check(cuFuncSetAttribute(kernel.Function, MaxDynamicShared, shape.SharedBytes));
            kernel.SharedAllowed = shape.SharedBytes;
        }
        var values = stackalloc ulong[arguments.Length];
        var pointers = stackalloc void*[arguments.Length];
        for (var i = 0; i < arguments.Length; i++)
        {
            values[i] = arguments[i].Bits;
            pointers[i] = arguments[i].IsMaps ? (void*)values[i] : values + i;
        }
        _log.Add(name, shape, arguments);
        if (_capturing) _captured = (_captured.Count + 1, _captured.Count == 0 ? (name, shape) : _captured.First, (name, shape));
        Census?.Add(file, name, defines, shape);
        var result = cuLaunchKernel(
            kernel.Function, (uint)shape.GridX, (uint)shape.GridY, (uint)shape.GridZ, (uint)shape.BlockX, (uint)shape.BlockY, (uint)shape.BlockZ,
            (uint)shape.SharedBytes, _stream, pointers, null);
        if (result is InvalidValue or OutOfResources)
            throw new CudaLaunchException($"{name}: {Cuda.Describe(result)} for {shape}; correct the grid, or make the block or its shared memory smaller", result);
        Cuda.Check(result, nameof(cuLaunchKernel));
        if (_synchronous && !_capturing) Synchronize();
    }
}
