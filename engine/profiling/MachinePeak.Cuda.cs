namespace Plip.Engine;

public readonly partial record struct MachinePeak
{
    /// <summary>The peak of any device: <see cref="Measure(CpuDevice)"/>, or <see cref="Measure(CudaDevice)"/>.</summary>
    public static MachinePeak Measure(Device device) => device is CudaDevice gpu ? Measure(gpu) : Measure((CpuDevice)device);

    /// <summary>
    /// Measures a GPU: flops by cuBLASLt's product of BF16 matrices on tensor cores, which is the roof of a mixed step (F32 has a far lower one),
    /// bytes by a copy within its memory. Takes about a gigabyte of it for under a second; on the emulator, where no figure means a thing, little.
    /// </summary>
    public static MachinePeak Measure(CudaDevice gpu)
    {
        var (size, bytes) = CudaLibraries.Current.IsEmulator ? (64, 1L << 20) : (8192, 512L << 20);
        return new(MeasureProduct(gpu, size), MeasureCopy(gpu, bytes));
    }

    private static double MeasureProduct(CudaDevice gpu, int size)
    {
        using var step = gpu.BeginStep(recordGradients: false);
        var shape = new Shape(size, size);
        // Noise: a product of zeros or of round numbers takes less power, so the clock is higher than it is in a step.
        var noise = new ushort[shape.Count];
        var state = 1u;
        for (var i = 0; i < noise.Length; i++)
        {
            state = state * 1664525 + 1013904223;
            noise[i] = (ushort)(0x3F00 | (state >> 16 & 0x80FF)); // ±0.5 … ±2
        }
        Tensor a = Tensor.From(gpu, noise, shape), b = Tensor.From(gpu, noise, shape), c = Tensor.Empty(gpu, shape, DType.BF16);
        return 2.0 * size * size * size / Best(() =>
        {
            gpu.Gemm.Run(c, a, b, false, true, size, size, size);
            gpu.Synchronize();
        });
    }

    private static double MeasureCopy(CudaDevice gpu, long bytes)
    {
        const int Copies = 4; // so that waiting is small beside them
        using var step = gpu.BeginStep(recordGradients: false);
        var shape = new Shape((int)(bytes / sizeof(float)));
        Tensor from = Tensor.Zeros(gpu, shape), to = Tensor.Empty(gpu, shape);
        return 2.0 * Copies * bytes / Best(() =>
        {
            for (var i = 0; i < Copies; i++) gpu.Copy(from.Address, to.Address, bytes);
            gpu.Synchronize();
        });
    }
}
