using System.Collections.Concurrent;

namespace Plip.Engine;

/// <summary>
/// Whether a GPU takes kernels/conv2d_tma.cu and kernels/conv2d_sm90.cu, which were compiled, and run on the emulator, but never on a GPU where they were written:
/// only behind a test on that GPU, at the first use in a process, that holds each of their kernels against the same tiles by mma.sync. PLIP_HOPPER decides
/// without a test: 0 takes neither, wgmma the second, 1 both.
/// </summary>
internal static class HopperConvolution
{
    private const int Capability = 90;

    private static readonly Choice Neither = new(false, false, "wgmma needs compute capability 9.0");

    private static readonly ConcurrentDictionary<(CudaDeviceInfo, DType), Choice> Known = [];

    /// <summary>For pictures stored so.</summary>
    public static Choice For(CudaDevice gpu, DType type)
    {
        if (gpu.Description.Capability != Capability) return Neither;
        if (Known.TryGetValue((gpu.Description, type), out var known)) return known;
        // In a capture nothing can be read back; a step that is captured was run before, so this is met by a test of capturing alone.
        return gpu.IsCapturing ? Neither : Decide(gpu, type);
    }

    /// <summary>Which kernels a GPU takes, and why, for people.</summary>
    public static string Describe(CudaDevice gpu)
    {
        var choice = Decide(gpu, DType.BF16);
        return $"convolutions by {(choice.Maps ? "wgmma and TMA" : choice.Warpgroups ? "wgmma" : "mma.sync")}: {choice.Why}";
    }

    private static Choice Decide(CudaDevice gpu, DType type)
    {
        if (gpu.Description.Capability != Capability) return Neither;
        return Known.GetOrAdd((gpu.Description, type), static (_, on) => Forced() ?? Both(on.gpu, on.type), (gpu, type));
    }

    private static Choice? Forced() => Environment.GetEnvironmentVariable("PLIP_HOPPER") switch
    {
        null or "" => null,
        "0" => new(false, false, "PLIP_HOPPER=0"),
        "wgmma" => new(true, false, "PLIP_HOPPER=wgmma, untested"),
        "1" => new(true, true, "PLIP_HOPPER=1, untested"),
        var other => throw new ArgumentException($"PLIP_HOPPER is \"{other}\"; expected 0 (mma.sync), wgmma (without TMA or a test), 1 (both without a test) or nothing (a test decides)"),
    };

    private static Choice Both(CudaDevice gpu, DType type)
    {
        var (first, second) = (Try(gpu, type, MmaKernels.Warpgroups), Try(gpu, type, MmaKernels.Maps));
        return new(first.Right, second.Right, first.Right && second.Right ? "a test on this GPU found them right" : $"wgmma: {first.Why}; with TMA: {second.Why}");
    }

    /// <summary>The test, unless it was the end of a process before this one.</summary>
    internal static (bool Right, string Why) Try(CudaDevice gpu, DType type, MmaKernels by)
    {
        if (Trial.Begin(gpu.KernelCache, $"{by.File} {type} on {gpu.Description}", gpu.Sources.Text(by.File), out var left) is not { } trial)
            return (false, $"a process before this one did not survive the test; delete {left} to have it tried again");
        try
        {
            return Test(gpu, type, by);
        }
        catch (CudaException e) when (e is CudaLaunchException or CudaDeviceLostException)
        {
            trial = null; // its file stays
            throw;
        }
        finally
        {
            trial?.End();
        }
    }

    /// <summary>Holds kernels against those by mma.sync: ragged tiles, taps that change within a stage, several stages; both strides.</summary>
    internal static (bool Right, string Why) Test(CudaDevice gpu, DType type, MmaKernels by)
    {
        var name = by == MmaKernels.Maps ? "TMA" : "wgmma";
        var step = gpu.CurrentStep;
        gpu.CurrentStep = null; // what the test makes is its own, and nothing of it is recorded
        try
        {
            foreach (var s in by == MmaKernels.Maps ? WholeChunks : AnyChannels)
            {
                var (expected, actual) = (Results(gpu, type, s, MmaKernels.Warps), Results(gpu, type, s, by));
                foreach (var (part, values) in expected)
                    if (Distance(values, actual[part]) is var error && !(error <= Tolerance(type)))
                        return (false, FormattableString.Invariant($"a test found that {name}'s {part} is off by {error:0.0e+0} of the largest element; report it, with this line"));
            }
            return (true, "a test on this GPU found it right");
        }
        catch (Exception e) when (e is CudaCompileException or EntryPointNotFoundException)
        {
            return (false, $"{name} could not be tried: {e.Message.Split('\n')[0]}");
        }
        catch (CudaLaunchException e)
        {
            // The context went with it: nothing can go on from here, but the next process can, which finds the trial's file.
            throw new CudaLaunchException($"the test of {name}'s convolutions failed on this GPU; run again, and the program does without them. Please report this: {e.Message}", e.Code);
        }
        finally
        {
            gpu.CurrentStep = step;
        }
    }

    private static readonly ConvShape[] AnyChannels = [new(2, 13, 11, 72, 3, 3, 136, 1, 1, 13, 11), new(2, 19, 14, 136, 3, 3, 192, 2, 1, 10, 7)];

    private static readonly ConvShape[] WholeChunks = [new(2, 13, 11, 64, 3, 3, 136, 1, 1, 13, 11), new(2, 19, 14, 128, 3, 3, 192, 2, 1, 10, 7)];

    private static Dictionary<string, float[]> Results(CudaDevice gpu, DType type, ConvShape s, MmaKernels by)
    {
        var made = new List<Tensor>();
        Tensor New(DType stored, params int[] shape)
        {
            made.Add(Tensor.Empty(gpu, new Shape(shape), stored, nameof(HopperConvolution)));
            return made[^1];
        }

        Tensor Normal(uint stream, params int[] shape)
        {
            var random = new Philox(20261123, stream);
            var wide = new float[new Shape(shape).Count];
            for (var i = 0; i < wide.Length; i++) wide[i] = random.Normal((ulong)i);
            var (from, to) = (Tensor.From(gpu, wide, new Shape(shape)), New(type, shape));
            Ops.CastInto(to, from);
            from.Release();
            return to;
        }

        try
        {
            var (x, w, dy) = (Normal(1, s.N, s.H, s.W, s.C), Normal(2, s.R, s.S, s.C, s.K), Normal(3, s.N, s.Ho, s.Wo, s.K));
            var (y, again, dx, dw) = (New(type, s.N, s.Ho, s.Wo, s.K), New(type, s.N, s.Ho, s.Wo, s.K), New(type, s.N, s.H, s.W, s.C), New(DType.F32, s.R, s.S, s.C, s.K));
            var moments = New(DType.F32, s.N, Launch.Blocks(s.Ho * s.Wo, MmaTile.Large.M), 2, s.K);
            MmaConvolution.Forward(gpu, type, y, x, w, null, s, false, MmaTile.Large, by);
            MmaConvolution.Moments(gpu, type, again, moments, x, w, s, MmaTile.Large, by);
            MmaConvolution.DataGradient(gpu, type, dx, dy, w, null, s, false, MmaTile.Large, by);
            MmaConvolution.WeightGradient(gpu, type, dw, x, dy, s, MmaTile.Large, by);
            return new()
            {
                ["result"] = Wide(y),
                ["result with moments"] = Wide(again),
                ["moments"] = Wide(moments),
                ["data gradient"] = Wide(dx),
                ["filters' gradient"] = Wide(dw),
            };
        }
        finally
        {
            foreach (var t in made) t.Release();
        }
    }

    private static float[] Wide(Tensor x)
    {
        if (x.DType == DType.F32) return x.ToArray();
        var wide = Ops.Cast(x, DType.F32);
        var values = wide.ToArray();
        wide.Release();
        return values;
    }

    /// <summary>Largest difference over the largest magnitude; not a number where something is not.</summary>
    private static double Distance(float[] expected, float[] actual)
    {
        double worst = 0, largest = 0;
        for (var i = 0; i < expected.Length; i++)
        {
            worst = Math.Max(worst, Math.Abs((double)expected[i] - actual[i])); // a NaN stays one
            largest = Math.Max(largest, Math.Abs((double)expected[i]));
        }
        return worst / largest;
    }

    /// <summary>Sums in another order tip a rounding: a unit in the last place, and of moments its square.</summary>
    private static double Tolerance(DType type) => type == DType.BF16 ? 1.0 / 128 : 1.0 / 1024;

    /// <summary>Which are used, and why or why not.</summary>
    /// <param name="Warpgroups">wgmma.</param>
    /// <param name="Maps">wgmma with copies by TMA, where a shape allows them.</param>
    /// <param name="Why">For people.</param>
    internal readonly record struct Choice(bool Warpgroups, bool Maps, string Why);
}
