using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tests.Engine;
using Plip.Tests.Model;
using Plip.Weights;
using Xunit;

namespace Plip.Tests.Weights;

public sealed class StartingWeightsTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly CpuDevice _device = new(1);

    public void Dispose()
    {
        _device.Dispose();
        _directory.Dispose();
    }

    private static PlipConfig Config(ResNetHead head = ResNetHead.MaxLinear, TextPooling pooling = TextPooling.Mean, int words = 128) => TinyPlip.Config() with
    {
        Visual = new ModifiedResNetConfig { Layers = [1, 2, 1, 1], Width = 2, Head = head },
        Text = GoldenModel.Small.Text with { Pooling = pooling, VocabularySize = words },
    };

    [Fact]
    public void Both_encoders_of_a_released_PLIP_are_taken_as_far_as_they_fit()
    {
        var path = Golden.Weights("module.pth.tar");
        var model = new PlipModel(Config());
        using var store = model.Materialize(_device);
        var before = store.StateDict().ToDictionary(e => e.Key, e => e.Value.ToF32());
        var visual = StartingWeights.Visual(model, store, path);
        var text = StartingWeights.Text(model, store, path);
        using var file = WeightsFile.Open(path);
        foreach (var (name, tensor) in store.StateDict())
        {
            var (encoder, prefix) = name.StartsWith("visual.", StringComparison.Ordinal) ? ("visual.", "ImgEncoder_state_dict.module.") : ("textual.", "TxtEncoder_state_dict.module.encoder.");
            var own = name.StartsWith(encoder, StringComparison.Ordinal) ? name[encoder.Length..].Replace("running_mean_1", "running_mean").Replace("running_var_1", "running_var") : "";
            Assert.Equal(file.Tensors.TryGet(prefix + own)?.ToF32() ?? before[name], tensor.ToF32());
        }
        Assert.Equal(["head.weight", "head.bias"], visual.Missing.Select(m => m.Name));
        Assert.All(visual.Missing, m => Assert.Contains("is new", m.Why, StringComparison.Ordinal));
        Assert.Empty(visual.OtherShape);
        Assert.Equal(9, visual.Unused.Count); // the attention pool
        Assert.Contains(visual.Notes, n => n.Contains("of 22 batch norms start as copies", StringComparison.Ordinal));
        Assert.Equal(["TxtEncoder_state_dict.module.encoder.pooler.dense.weight", "TxtEncoder_state_dict.module.encoder.pooler.dense.bias", "TxtEncoder_state_dict.module.encoder.embeddings.position_ids"],
            text.Unused.Select(u => u.Name).OrderByDescending(n => n.Contains("pooler", StringComparison.Ordinal)));
        Assert.Equal((21, 21), (text.Matched.Count, text.Tensors));
        foreach (var part in new[] { "visual starts from", "released PLIP", "missing      2: head.weight, head.bias", "(visual.head)" }) Assert.Contains(part, visual.Brief(), StringComparison.Ordinal);
        Assert.Contains("matched      layer2.1.conv2.weight", visual.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void CLIPs_position_table_is_resampled_to_the_pictures_grid()
    {
        var source = new PlipModel(Config(ResNetHead.AttentionPool) with { Image = new ImageConfig { Height = 96, Width = 96 } });
        var path = _directory / "RN50.safetensors";
        using (var store = source.Materialize(_device))
        {
            var state = new StateDict();
            foreach (var (name, tensor) in store.StateDict().Under("visual."))
                if (!name.EndsWith("_1", StringComparison.Ordinal))
                    state.Add("visual." + name, name != "attnpool.positional_embedding" ? tensor
                        : StateTensor.Of([.. Enumerable.Range(0, 10 * 64).Select(i => i / 64 == 0 ? -1f : (i / 64 - 1) / 3 * 10 + (i / 64 - 1) % 3)], tensor.Shape)); // 10 y + x
            state.Add("transformer.resblocks.0.ln_1.weight", StateTensor.Of([1f], new Shape(1)));
            SafeTensorsWriter.Write(path, state);
        }
        var model = new PlipModel(Config(ResNetHead.AttentionPool)); // 64×32: two positions, one above the other
        using var target = model.Materialize(_device);
        var report = StartingWeights.Visual(model, target, path);
        Assert.StartsWith("CLIP", report.Source, StringComparison.Ordinal);
        Assert.Contains(report.Notes, n => n.Contains("from 3×3 to 2×1", StringComparison.Ordinal));
        Assert.Contains(report.Notes, n => n.Contains("1 tensors of the file are no part", StringComparison.Ordinal));
        var table = target.StateDict()["visual.attnpool.positional_embedding"].ToF32();
        // Rows at 1/4 and 3/4 of three, pixel centres: y = 0.25 and 1.75; the column is the middle one, x = 1.
        Assert.Equal([-1f, 3.5f, 18.5f], [table[0], table[64], table[128]]);
    }

    [Fact]
    public void A_plain_ResNet_gives_its_stages_and_not_its_stem()
    {
        var source = new PlipModel(Config());
        var path = _directory / "resnet.safetensors";
        using (var store = source.Materialize(_device))
        {
            var state = new StateDict();
            state.Add("conv1.weight", StateTensor.Of(new float[2 * 3 * 49], new Shape(2, 3, 7, 7)));
            foreach (var (name, tensor) in store.StateDict().Under("visual."))
                if (name.StartsWith("layer", StringComparison.Ordinal) && !name.EndsWith("_1", StringComparison.Ordinal)) state.Add(name, Constant(tensor, 0.25f));
            state.Add("fc.weight", StateTensor.Of(new float[10 * 64], new Shape(10, 64)));
            SafeTensorsWriter.Write(path, state);
        }
        var model = new PlipModel(Config());
        using var target = model.Materialize(_device);
        var report = StartingWeights.Visual(model, target, path);
        Assert.Contains("plain ResNet", report.Source, StringComparison.Ordinal);
        var now = target.StateDict();
        Assert.All(now["visual.layer4.0.conv2.weight"].ToF32(), v => Assert.Equal(0.25f, v));
        Assert.All(now["visual.layer4.0.bn2.running_var_1"].ToF32(), v => Assert.Equal(0.25f, v));
        Assert.NotEqual(0f, now["visual.conv1.weight"].ToF32()[0]);
        Assert.Contains(report.Missing, m => m.Name == "conv1.weight" && m.Why.Contains("7×7", StringComparison.Ordinal));
        Assert.Equal([("conv1.weight", "three"), ("fc.weight", "a classifier")], report.Unused.Select(u => (u.Name, u.Why.Contains("three", StringComparison.Ordinal) ? "three" : u.Why)));
        Assert.Contains("average pools", report.Brief(), StringComparison.Ordinal);
    }

    [Fact]
    public void BERTs_of_other_sizes_and_names_say_what_did_not_fit()
    {
        var path = Bert(Config(words: 90), n => "bert." + n.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal));
        var model = new PlipModel(Config());
        using var store = model.Materialize(_device);
        var report = StartingWeights.Text(model, store, path);
        var other = Assert.Single(report.OtherShape);
        Assert.Equal(("embeddings.word_embeddings.weight", "the file knows 90 word pieces, this run 128: give its vocab.txt with --vocabulary"), (other.Name, other.Why));
        Assert.Equal(report.Tensors - 1, report.Matched.Count);
        Assert.Contains(report.Notes, n => n.Contains("(cls)", StringComparison.Ordinal));
        Assert.All(store.StateDict()["textual.encoder.layer.0.output.LayerNorm.weight"].ToF32(), v => Assert.Equal(0.5f, v));
    }

    /// <summary>Every tensor of a Swin of this program has a name of Microsoft's, and comes back from it.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_Swin_by_Microsofts_names_is_taken_whole(bool mergesBefore)
    {
        var config = Config() with { Image = new ImageConfig { Height = 64, Width = 32 }, Visual = new SwinConfig { Width = 8, Depths = [1, 2, 1, 1], Heads = [1, 1, 2, 2], Window = 2 } };
        var source = new PlipModel(config);
        var path = _directory / "swin.pth";
        var values = new Dictionary<string, float[]>();
        using (var store = source.Materialize(_device))
        {
            var state = new StateDict();
            foreach (var (name, tensor) in store.StateDict().Under("visual."))
            {
                values.Add(name, tensor.ToF32());
                state.Add("model." + Theirs(name), name.StartsWith("head.", StringComparison.Ordinal) ? StateTensor.Of([1f], new Shape(1)) : tensor);
            }
            state.Add("model.layers.1.blocks.1.attn_mask", StateTensor.Of([1f], new Shape(1)));
            SafeTensorsWriter.Write(path, state);
        }
        var model = new PlipModel(config with { Training = config.Training with { Seed = 5 } });
        using var target = model.Materialize(_device);
        var report = StartingWeights.Visual(model, target, path);
        Assert.Empty(report.Missing);
        Assert.Equal(["head.weight", "head.bias"], report.OtherShape.Select(o => o.Name));
        Assert.All(report.Unused, u => Assert.Equal("derived from sizes, not a weight", u.Why));
        foreach (var (name, tensor) in target.StateDict().Under("visual."))
            if (!name.StartsWith("head.", StringComparison.Ordinal)) Assert.Equal(values[name], tensor.ToF32());

        string Theirs(string name)
        {
            var parts = name.Split('.', 4);
            if (parts[0] != "features") return name;
            var number = int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture);
            if (number == 0) return $"patch_embed.{(parts[2] == "0" ? "proj" : "norm")}.{parts[3]}";
            return number % 2 == 0
                ? FormattableString.Invariant($"layers.{number / 2 - (mergesBefore ? 0 : 1)}.downsample.{parts[2]}.{parts[3]}")
                : FormattableString.Invariant($"layers.{number / 2}.blocks.{parts[2]}.{parts[3].Replace("mlp.0", "mlp.fc1", StringComparison.Ordinal).Replace("mlp.3", "mlp.fc2", StringComparison.Ordinal)}");
        }
    }

    [Fact]
    public void What_cannot_start_an_encoder_is_one_clear_error()
    {
        var model = new PlipModel(Config());
        using var store = model.Materialize(_device);
        var bert = Bert(Config(), n => n);
        Assert.Contains("holds no picture encoder", Assert.Throws<FileFormatException>(() => StartingWeights.Visual(model, store, bert)).Message, StringComparison.Ordinal);
        Assert.Contains("no encoder that this program knows", Assert.Throws<FileFormatException>(() => StartingWeights.Text(model, store, Golden.Torch("types.pth"))).Message, StringComparison.Ordinal);
        var swin = new StateDict();
        foreach (var name in new[] { "patch_embed.proj.weight", "layers.0.blocks.0.attn.qkv.weight" }) swin.Add("model." + name, StateTensor.Of([1f], new Shape(1)));
        SafeTensorsWriter.Write(_directory / "swin.safetensors", swin);
        Assert.Contains("nothing of it fits", Assert.Throws<ConfigException>(() => StartingWeights.Visual(model, store, _directory / "swin.safetensors")).Message, StringComparison.Ordinal);
        var two = new StateDict();
        foreach (var name in new[] { "encoder_q", "encoder_k" }) two.Add(name + ".layer1.0.conv3.weight", StateTensor.Of([1f], new Shape(1)));
        SafeTensorsWriter.Write(_directory / "moco.safetensors", two);
        Assert.Contains("--under \"encoder_q.\"", Assert.Throws<FileFormatException>(() => StartingWeights.Visual(model, store, _directory / "moco.safetensors")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_starts_from_them_before_its_average_does()
    {
        using var plip = new TinyPlip();
        var config = TinyPlip.Config();
        var source = plip.Trained(config);
        var best = Path.Combine(source, "checkpoints", "best");
        StartReport? report = null;
        using var trainer = new Plip.Training.Trainer(_device, config with { Training = config.Training with { Seed = 9 } }, plip.Words, new Plip.Training.TrainerOptions
        {
            Train = plip.Train,
            Folder = plip.NewFolder(),
            Start = (model, store) => report = StartingWeights.Visual(model, store, best),
        });
        using var file = Checkpoint.Open(best);
        Assert.Equal(TinyPlip.Bits(file.Tensors.Under("model.visual.")), TinyPlip.Bits(trainer.Store.StateDict().Under("visual.")));
        Assert.Empty(report!.Missing);
        Assert.Contains("a checkpoint of this program", report.Source, StringComparison.Ordinal);
    }

    private string Bert(PlipConfig config, Func<string, string> rename)
    {
        var path = _directory / "bert.safetensors";
        var source = new PlipModel(config);
        using var store = source.Materialize(_device);
        var state = new StateDict();
        foreach (var (name, tensor) in store.StateDict().Under("textual.")) state.Add(rename(name), name.Contains("LayerNorm", StringComparison.Ordinal) ? Constant(tensor, 0.5f) : tensor);
        state.Add("cls.predictions.bias", StateTensor.Of([0f], new Shape(1)));
        SafeTensorsWriter.Write(path, state);
        return path;
    }

    private static StateTensor Constant(StateTensor like, float value)
    {
        if (like.DType == DType.I64) return like;
        var values = new float[like.Shape.Count];
        Array.Fill(values, value);
        return StateTensor.Of(values, like.Shape);
    }
}
