using System.Diagnostics;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>Several programs on one folder of compiled kernels at the same time.</summary>
public sealed class KernelCacheProcessTests
{
    private const int Programs = 4;

    /// <summary>One entry is damaged, the others are missing: all compile, write and read at once, and each computes what it should.</summary>
    [Fact]
    public void Programs_that_start_at_once_share_the_folder_and_mend_it()
    {
        Assert.SkipUnless(CudaTest.IsEmulator, "programs are started on the emulator, and this machine has a GPU");
        using var folder = new TemporaryDirectory();
        var kernels = Path.Combine(folder.Path, "kernels");
        Doctor(folder.Path, 1);
        var whole = Names(kernels);
        Assert.True(whole.Length > 1, "one kernel alone would not show much");
        // The first is cut short, the second keeps its length and loses a bit, the rest are gone.
        using (var first = File.OpenWrite(Path.Combine(kernels, whole[0]))) first.SetLength(first.Length / 2);
        var second = Path.Combine(kernels, whole[1]);
        var bytes = File.ReadAllBytes(second);
        bytes[^9] ^= 1;
        File.WriteAllBytes(second, bytes);
        foreach (var name in whole[2..]) File.Delete(Path.Combine(kernels, name));
        Doctor(folder.Path, Programs);
        Assert.Equal(whole, Names(kernels)); // nothing half-written stays
        var cache = new KernelCache(kernels);
        Assert.All(whole, name => Assert.NotNull(cache.Read(Path.GetFileNameWithoutExtension(name))));
    }

    /// <summary>Each compiles kernels or finds them, launches them and checks a product and its gradient.</summary>
    private static void Doctor(string cache, int programs)
    {
        var environment = new Dictionary<string, string> { ["PLIP_CACHE"] = cache };
        var started = Enumerable.Range(0, programs).Select(_ => FaultyDriver.Start(FaultyDriver.Emulator, null, null, environment, "doctor")).ToArray();
        foreach (var process in started)
            using (process)
            {
                var error = process.StandardError.ReadToEndAsync();
                var said = process.StandardOutput.ReadToEnd();
                Assert.True(process.WaitForExit(120_000), "the program did not end");
                Assert.True(process.ExitCode == 0, said + error.Result);
                Assert.Contains("cuda kernels   ok: a product and its gradient are exact", said, StringComparison.Ordinal);
            }
    }

    private static string[] Names(string folder) => [.. Directory.GetFiles(folder).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
}
