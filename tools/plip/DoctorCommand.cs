using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Plip.Configs;
using Plip.Engine;

namespace Plip.Tool;

/// <summary><c>plip doctor</c>: what this machine offers, and whether the parts that need native code work on it.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var command = new Command("doctor", "Say what this machine offers and whether everything the program needs works here.");
        command.SetAction(_ => Run(Console.Out));
        return command;
    }

    private static int Run(TextWriter o)
    {
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30);
        using var device = (CpuDevice)Options.Open("cpu");
        Line(o, "system", $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.OSArchitecture}");
        Line(o, ".NET", RuntimeInformation.FrameworkDescription);
        Line(o, "memory", string.Create(CultureInfo.InvariantCulture, $"{memory:0.0} GiB"));
        Line(o, "cpu", $"{Environment.ProcessorCount} cores, {device.Threads} threads used (PLIP_THREADS sets them), {device.VectorBits}-bit vectors (PLIP_VECTOR_BITS: 512, 256 or 128)");
        foreach (var (what, value) in CudaReport.Lines()) Line(o, what, value);
        Line(o, "configs", string.Join(", ", ConfigFile.BuiltIn));
        var sound = Check(o, "tensor engine", () => Arithmetic(device)) & Check(o, "picture codec", Codec);
        if (Cuda.IsAvailable(out _)) sound &= Check(o, "cuda kernels", Kernels);
        return sound ? 0 : CommandLine.Failed;
    }

    private static string Arithmetic(Device device)
    {
        using var step = device.BeginStep();
        var a = Tensor.From(device, [1f, 2, 3, 4], new Shape(2, 2)).WithGrad();
        var y = Ops.Sum(Ops.MatMul(a, a));
        y.Backward();
        // Σ A·A = 54; its gradient is (row sums of A) + (column sums of A).
        return y.Item() == 54f && a.Grad!.ToArray().AsSpan().SequenceEqual([7f, 11, 9, 13])
            ? "a product and its gradient are exact"
            : throw new InvalidOperationException($"a 2×2 product gave {y.Item()} and its gradient [{string.Join(", ", a.Grad!.ToArray())}]");
    }

    /// <summary>A kernel is compiled, or found in the cache, launched and read back; then a product.</summary>
    private static string Kernels()
    {
        using var device = new CudaDevice();
        return Arithmetic(device);
    }

    private static string Codec()
    {
        var picture = new Data.Picture(8, 16, new byte[8 * 16 * 3]);
        var path = Path.Combine(Path.GetTempPath(), $"plip-doctor-{Environment.ProcessId}.jpg");
        try
        {
            picture.SaveJpeg(path);
            var back = Data.Picture.Load(path);
            return (back.Width, back.Height) == (8, 16) ? "a JPEG was written and read" : throw new InvalidOperationException($"an 8×16 JPEG came back as {back.Width}×{back.Height}");
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static bool Check(TextWriter o, string what, Func<string> check)
    {
        try
        {
            Line(o, what, $"ok: {check()}");
            return true;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            Line(o, what, $"FAILED: {e.Message}");
            return false;
        }
    }

    private static void Line(TextWriter o, string what, string value) => o.WriteLine($"{what,-14} {value}");
}
