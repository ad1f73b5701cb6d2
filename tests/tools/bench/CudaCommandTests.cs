using System.Diagnostics;
using System.Text.Json;
using Plip.Bench;
using Plip.Engine;
using Plip.Tests.Engine;
using Xunit;

namespace Plip.Tests.Tools.Bench;

[Collection("console")]
public class CudaCommandTests
{
    [Fact]
    public void List_shows_both_types_at_a_GPUs_sizes_and_needs_none()
    {
        var (code, output, error) = BenchCommandTests.Run("cuda", "--list", "--types", "BF16", "F32", "--filter", "layer_norm, cmpm, step");
        Assert.Equal((0, ""), (code, error));
        foreach (var name in new[] { "layer_norm 4096x768 forward bf16", "layer_norm 4096x768 forward\n", "cmpm 128x768 forward\n", "step plip-rn50 batch 128 bf16", "cmpm 4096x768 forward bf16" }) Assert.Contains(name, output);
        Assert.DoesNotContain("cmpm 128x768 forward bf16", output); // the model's embeddings are F32
        Assert.Equal(output.Split('\n').Length, output.Split('\n').Distinct().Count());
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    public void Every_case_has_a_name_of_its_own_and_counted_work(DType type)
    {
        var cases = CudaCases.Of(type, Sizes.Gpu);
        Assert.Equal(cases.Count, cases.Select(c => c.Name).Distinct(StringComparer.Ordinal).Count());
        Assert.All(cases, c => Assert.True(c.Flops > 0 || c.Bytes > 0, c.Name));
    }

    [Fact]
    public void An_op_in_BF16_moves_half_the_bytes()
    {
        var spec = OpSpecs.All.First(s => s.Op == "layer_norm");
        var half = spec.InBF16()!;
        Assert.Equal((spec.Bytes / 2, spec.Flops, spec.Name + " bf16"), (half.Bytes, half.Flops, half.Name));
        Assert.Equal([true, false, false], half.Inputs.Select(half.IsStored)); // γ and β stay F32
    }

    /// <summary>On the emulator its figures mean nothing; that a case runs forward and backward, is written and kept, does.</summary>
    [Fact]
    public void A_small_run_writes_its_rows_and_keeps_those_of_an_earlier_one()
    {
        Assert.SkipUnless(CudaTest.IsEmulator, "a GPU is measured by tools/gpu-check, not by tests");
        using var folder = new TemporaryDirectory();
        var path = folder / "cuda.json";
        Assert.Equal((0, ""), CodeAndError(BenchCommandTests.Run("cuda", "--small", "--filter", "softmax", "--json", path)));
        Assert.Equal((0, ""), CodeAndError(BenchCommandTests.Run("cuda", "--small", "--filter", "l2_normalize", "--json", path, "--append")));
        var result = BenchResult.Load(path);
        Assert.True(result.Machine.Gpu!.Emulated);
        Assert.Equal(
            [
                "softmax 64x64 forward bf16", "softmax 64x64 backward bf16", "softmax_rung_1 64x64 forward bf16", "softmax_rung_2 64x64 forward bf16",
                "l2_normalize 64x768 forward bf16", "l2_normalize 64x768 backward bf16",
            ], result.Rows.Select(r => r.Name));
        Assert.All(result.Rows, r => Assert.True(r.OursMs > 0 && r.ShareOfFloor > 0, r.Name));
        Assert.Contains("EMULATED", MarkdownTable.Of(result));
        var readme = folder.Write("README.md", "<!-- cuda:begin -->\n<!-- cuda:end -->\n"u8.ToArray());
        var refused = BenchCommandTests.Run("table", path, "--write", readme);
        Assert.Equal(1, refused.Code);
        Assert.Contains("measured on the emulator", refused.Error);
    }

    [Fact]
    public void A_twins_times_join_the_rows_of_the_same_cases_on_the_same_GPU()
    {
        var gpu = new GpuInfo("a GPU", 90, "13.0", "13.0", 50_000, false);
        var ours = new BenchResult(Machine.Of(gpu, 780_000, 4300), [new() { Group = "gemm", Name = "a", OursMs = 2 }, new() { Group = "gemm", Name = "b", OursMs = 1 }]);
        var joined = JoinCommand.Join(ours, new("2.11.0", "a GPU", [new("a", "pytorch nchw", 3), new("c", "pytorch", 1)]), "cuda.json");
        Assert.Equal(("pytorch nchw", 3.0, 1.5), (joined.Rows[0].Peer, joined.Rows[0].PeerMs, joined.Rows[0].Ratio));
        Assert.Null(joined.Rows[1].Peer);
        Assert.Contains("a GPU, compute capability 9.0, driver CUDA 13.0, NVRTC 13.0", MarkdownTable.Of(joined));
        Assert.Contains("PyTorch 2.11.0.\nBF16 product 780.0 TFLOP/s, F32 product 50.00 TFLOP/s, copy 4300 GB/s.\n", MarkdownTable.Of(joined));
        Assert.Contains("on another", Assert.Throws<BenchException>(() => JoinCommand.Join(ours, new("2.11.0", "another", []), "cuda.json")).Message);
        Assert.Contains("nothing to join", Assert.Throws<BenchException>(() => JoinCommand.Join(Results.Some, new("2.11.0", "a GPU", []), "cpu.json")).Message);
    }

    /// <summary>The Python twin has a counterpart of every op; without PyTorch that is all it can say.</summary>
    [Fact]
    public void The_twins_file_is_what_the_Python_twin_reads()
    {
        using var folder = new TemporaryDirectory();
        var path = folder / "cases.json";
        Assert.Equal(0, BenchCommandTests.Run("cuda", "--twin", path, "--types", "BF16", "F32").Code);
        using (var json = JsonDocument.Parse(File.ReadAllText(path)))
        {
            var attention = json.RootElement.EnumerateArray().First(c => c.GetProperty("op").GetString() == "attention" && c.GetProperty("pass").GetString() == "Backward");
            Assert.Equal("bf16", attention.GetProperty("type").GetString());
            var offsets = attention.GetProperty("inputs")[3];
            Assert.Equal(offsets.GetProperty("shape")[0].GetInt32(), offsets.GetProperty("values").GetArrayLength());
        }
        var twin = FaultyDriver.InRepository("tools/gpu-check/torch_twin.py");
        try
        {
            using var python = Process.Start(new ProcessStartInfo("python3", [twin, path, "--check"]) { RedirectStandardOutput = true })!;
            Assert.EndsWith("each op has its counterpart", python.StandardOutput.ReadToEnd().TrimEnd());
            python.WaitForExit();
            Assert.Equal(0, python.ExitCode);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            Assert.Fail($"python3, which checks the twin's script, is missing: {e.Message}");
        }
    }

    private static (int, string) CodeAndError((int Code, string Out, string Error) run) => (run.Code, run.Error);
}
