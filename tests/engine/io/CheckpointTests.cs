using System.Security.Cryptography;
using System.Text;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public sealed class CheckpointTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Training_continues_from_a_checkpoint_with_the_same_bits()
    {
        using var d = new CpuDevice(1);
        var (a, b) = (new TinyNet(), new TinyNet());
        using var first = ParameterStore.Materialize(d, a, 1);
        using var adan = new Adan(first);
        using var ema = new Ema(first);
        for (var t = 0; t < 3; t++) Advance(a, first, adan, ema, t);
        var state = new StateDict();
        state.Add(first.StateDict(), "model.");
        state.Add(adan.StateDict(), "optimizer.");
        state.Add(ema.StateDict(), "ema.");
        var path = Checkpoint.Save(_directory / "last", 3, state, new Dictionary<string, string> { ["config"] = "{\"lr\":0.1}", ["vocabulary"] = "[PAD]\nné" });
        Assert.Equal(_directory / "last/step-00000003.safetensors", path);

        using var second = ParameterStore.Materialize(d, b, 9);
        using var resumed = new Adan(second);
        using var resumedEma = new Ema(second);
        using (var checkpoint = Checkpoint.Open(_directory / "last", Fail))
        {
            Assert.Equal(3, checkpoint.Step);
            Assert.Equal("{\"lr\":0.1}", checkpoint.Metadata["config"]);
            Assert.Equal("[PAD]\nné", checkpoint.Metadata["vocabulary"]);
            Assert.Equal(2, checkpoint.Metadata.Count);
            second.Load(checkpoint.Tensors.Under("model."));
            resumed.Load(checkpoint.Tensors.Under("optimizer."));
            resumedEma.Load(checkpoint.Tensors.Under("ema."));
        }
        Advance(a, first, adan, ema, 3);
        Advance(b, second, resumed, resumedEma, 3);
        Assert.Equal(first.Values.ToArray(), second.Values.ToArray());
        Assert.Equal(ema.StateDict()["conv1.weight"].ToF32(), resumedEma.StateDict()["conv1.weight"].ToF32());

        static void Advance(TinyNet model, ParameterStore store, Optimizer optimizer, Ema ema, int t)
        {
            using var step = store.Device.BeginStep();
            model.Forward(Input.Normal(new(2, 4, 3, 2), (uint)t).ToTensor(store.Device)).Backward();
            optimizer.Step(0.01f, GradientClip.Measure(store, 1).Scale);
            store.ZeroGrad();
            ema.Update();
        }
    }

    [Fact]
    public void The_hash_is_that_of_the_file_with_zeros_in_its_place()
    {
        var path = Save(7);
        var bytes = File.ReadAllBytes(path);
        using var checkpoint = Checkpoint.Open(path);
        using var plain = SafeTensors.Open(path); // and it is plain safetensors
        var hash = plain.Metadata["sha256"];
        var at = bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(hash));
        bytes.AsSpan(at, 64).Fill((byte)'0');
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), hash);
        Assert.Equal("pt", plain.Metadata["format"]);
    }

    [Fact]
    public void The_newest_is_opened_and_the_oldest_deleted()
    {
        for (var step = 1; step <= 4; step++) Save(step);
        Assert.Equal(["step-00000003.safetensors", "step-00000004.safetensors"], Names());
        using var checkpoint = Checkpoint.Open(_directory.Path, Fail);
        Assert.Equal(4, checkpoint.Step);
        Assert.Equal(4f, checkpoint.Tensors["x"].ToF32()[0]);
        Save(123_456_789, keep: 1); // more digits than the name pads to, and still the newest
        Assert.Equal(["step-123456789.safetensors"], Names());
    }

    [Fact]
    public void A_damaged_newer_one_is_reported_and_passed_over()
    {
        Save(1);
        var newer = Save(2);
        var bytes = File.ReadAllBytes(newer);
        bytes[^1] ^= 1;
        File.WriteAllBytes(newer, bytes);
        var told = new List<string>();
        using (var checkpoint = Checkpoint.Open(_directory.Path, told.Add)) Assert.Equal(1, checkpoint.Step);
        var warning = Assert.Single(told);
        Assert.Contains(newer, warning, StringComparison.Ordinal);
        Assert.Contains("do not match its SHA-256", warning, StringComparison.Ordinal);
        Assert.Contains("Continuing from the older", warning, StringComparison.Ordinal);

        File.WriteAllBytes(_directory / "step-00000001.safetensors", bytes[..50]);
        var e = Assert.Throws<FileFormatException>(() => Checkpoint.Open(_directory.Path, told.Add));
        Assert.Contains("none of its 2 checkpoints can be read", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Steps_of_an_abandoned_run_are_set_aside_not_deleted()
    {
        Save(10);
        Save(20);
        var told = new List<string>();
        Checkpoint.Save(_directory.Path, 15, State(15), warn: told.Add);
        Assert.Contains("abandoned run", Assert.Single(told), StringComparison.Ordinal);
        Assert.Equal(["step-00000010.safetensors", "step-00000015.safetensors", "step-00000020.safetensors.superseded"], Names());
        using var checkpoint = Checkpoint.Open(_directory.Path, Fail);
        Assert.Equal(15, checkpoint.Step);
    }

    [Fact]
    public void What_is_no_checkpoint_says_so_and_what_to_do()
    {
        Assert.Contains("there is no such file", Assert.Throws<FileNotFoundException>(() => Checkpoint.Open(_directory / "none")).Message, StringComparison.Ordinal);
        Assert.Contains("holds no checkpoint", Assert.Throws<FileNotFoundException>(() => Checkpoint.Open(_directory.Path)).Message, StringComparison.Ordinal);
        Refused(_directory.Write("a.jpg", [.. "\xff\xd8\xff\xe0 a picture of some sort"u8]), "not a safetensors file");
        var weights = _directory / "weights.safetensors";
        SafeTensorsWriter.Write(weights, State(1));
        Refused(weights, "Load plain weights with SafeTensors.Open");
        SafeTensorsWriter.Write(weights, State(1), new Dictionary<string, string> { ["format_version"] = "2" });
        Refused(weights, "is \"2\", this program reads \"1\"");
        SafeTensorsWriter.Write(weights, State(1), new Dictionary<string, string> { ["format_version"] = "1", ["step"] = "-1" });
        Refused(weights, "no whole number");
        SafeTensorsWriter.Write(weights, State(1), new Dictionary<string, string> { ["format_version"] = "1", ["step"] = "1" });
        Refused(weights, "is no SHA-256");

        void Refused(string path, string expected)
        {
            var e = Assert.Throws<FileFormatException>(() => Checkpoint.Open(path));
            Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
            Assert.Contains(expected, e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Misuse_is_named()
    {
        Assert.Throws<ArgumentException>(() => Save(-1));
        Assert.Throws<ArgumentException>(() => Save(1, keep: 0));
        Assert.Contains("\"sha256\" belongs to the format", Assert.Throws<ArgumentException>(
            () => Checkpoint.Save(_directory.Path, 1, State(1), new Dictionary<string, string> { ["sha256"] = "" })).Message, StringComparison.Ordinal);
    }

    /// <summary>Every byte of the file, one after the other; header, hash, metadata and data.</summary>
    [Fact]
    public void One_flipped_byte_anywhere_is_found()
    {
        var path = Save(5);
        var bytes = File.ReadAllBytes(path);
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 0x20; // the case of a letter: hexadecimal digits and keys included
            File.WriteAllBytes(path, bytes);
            Assert.Throws<FileFormatException>(() => Checkpoint.Open(path));
            bytes[i] ^= 0x20;
        }
        File.WriteAllBytes(path, bytes);
        Checkpoint.Open(path).Dispose();
    }

    [Fact]
    public void Two_thousand_mutations_give_the_same_content_or_the_typed_error()
    {
        var path = Save(5);
        var bytes = File.ReadAllBytes(path);
        var same = 0;
        for (var i = 0; i < 2000; i++)
        {
            var mutated = Mutation.Of(bytes, (uint)i);
            File.WriteAllBytes(path, mutated);
            if (bytes.AsSpan().SequenceEqual(mutated))
            {
                Checkpoint.Open(path).Dispose();
                same++;
            }
            else
            {
                Assert.Throws<FileFormatException>(() => Checkpoint.Open(path));
            }
        }
        Assert.InRange(same, 1, 200); // a few mutations change nothing, and those must open
    }

    private string Save(long step, int keep = 2) => Checkpoint.Save(_directory.Path, step, State(step), new Dictionary<string, string> { ["config"] = "{}" }, keep, Fail);

    private static StateDict State(long step)
    {
        var state = new StateDict();
        state.Add("x", StateTensor.Of([step, 2f, 3f], new(3)));
        state.Add("n", StateTensor.Of([step], new()));
        return state;
    }

    private string[] Names() => [.. Directory.GetFiles(_directory.Path).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    private static void Fail(string warning) => Assert.Fail($"unexpected warning: {warning}");
}
