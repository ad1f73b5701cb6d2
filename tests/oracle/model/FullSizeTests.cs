using Plip.Configs;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;
using TorchSharp;
using Xunit;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>
/// Encoders and tasks at the size they are used in, forward and backward, LibTorch in F64. The measure is the norm of the difference relative to the norm of
/// what LibTorch has, tensor by tensor: 1e-4 for outputs, 1e-3 for gradients, of inputs and of every parameter (<see cref="TorchState.GradientsAreNear"/>).
/// Some seconds each on two cores, up to 4 GB.
/// </summary>
/// <remarks>
/// A ReLU whose input is within F32's rounding of zero passes the gradient in one program and not in the other. Of the ten million of ResNet-50 some dozens are, and
/// one alone moves the gradient of a late layer by half a percent: no two programs agree there. So its gates are set open or shut by a margin
/// (<see cref="OpenOrShut"/>); the small networks beside this test are compared as they come.
/// </remarks>
[Trait("speed", "slow")]
public class FullSizeTests
{
    private const double Output = 1e-4, Gradient = 1e-3;
    private const int Height = 256, Width = 128, Pairs = 2, Words = 2000;

    private static readonly ImageConfig s_image = new();

    private static float[] Pixels() => Torch.Normal(Pairs * Height * Width * 3, 21);

    private static torch.Tensor Theirs(float[] pixels) => Torch.Of(pixels, Pairs, Height, Width, 3);

    private static Tensor Ours(Device device, float[] pixels) => Tensor.From(device, pixels, new Shape(Pairs, Height, Width, 3));

    [Theory]
    [InlineData(ResNetHead.MaxLinear)]
    [InlineData(ResNetHead.MeanLinear)]
    [InlineData(ResNetHead.AttentionPool)]
    public void ModifiedResNet50(ResNetHead head)
    {
        var config = new ModifiedResNetConfig { Head = head, ZeroInitResidual = false };
        Encodes(config.Build(s_image, 768), (state, x) =>
        {
            var peer = new TorchResNet(state);
            var stages = peer.Stages(Torch.Nchw(x), config.Layers);
            return ([.. stages.Select(Torch.Nhwc)], peer.Embed(stages[3], config));
        });
    }

    [Fact]
    public void SwinT()
    {
        var config = new SwinConfig { Width = 96, Depths = [2, 2, 6, 2], Heads = [3, 6, 12, 24], StochasticDepth = 0.2f };
        Encodes(config.Build(s_image, 768), (state, x) =>
        {
            var peer = new TorchSwin(state, config);
            var stages = peer.Stages(x, new TorchDropout(7, 2, 0));
            return (stages, peer.Embed(stages[3]));
        });
    }

    [Fact]
    public void ViTS16()
    {
        var config = new ViTConfig();
        Encodes(config.Build(s_image, 768), (state, x) =>
        {
            var peer = new TorchViT(state, config);
            var tokens = peer.Tokens(x);
            return ([tokens], peer.Embed(tokens));
        });
    }

    /// <summary>CLIP's attention pool at the released checkpoint's size, with the gradient of its input.</summary>
    [Fact]
    public void Attention_pool()
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var config = new ModifiedResNetConfig { Layers = [1, 1, 1, 1], Head = ResNetHead.AttentionPool };
        var encoder = config.Build(s_image, 768);
        using var store = ParameterStore.Materialize(device, encoder, seed: 3);
        TorchState.ShakeVectors(store, 0.1f);
        var state = new TorchState(store);
        var maps = Torch.Normal(4 * 8 * 4 * 2048, 5);
        var t = Torch.Of(maps, 4, 8, 4, 2048).requires_grad_();
        var expected = new TorchResNet(state).Embed(Torch.Nchw(t), config);

        using var step = device.BeginStep();
        var x = Tensor.From(device, maps, new Shape(4, 8, 4, 2048)).WithGrad();
        var y = encoder.Embed(x).Keep();
        Torch.Near(expected, y, Output, "embedding");
        Torch.Backward(y, expected);
        Torch.Near(t.grad!, x.Grad!, Gradient, "gradient of the maps");
        state.GradientsAreNear(Gradient);
    }

    /// <summary>BERT-base; LibTorch gets captions of 64, 41, 12 and 5 tokens padded to 64, with rubbish in the padding, and a mask.</summary>
    [Theory]
    [InlineData(TextPooling.Mean)]
    [InlineData(TextPooling.Pooler)]
    public void Bert_base(TextPooling pooling)
    {
        const int Longest = 64;
        int[] lengths = [64, 41, 12, 5];
        var config = new BertConfig { VocabularySize = Words, Pooling = pooling, Dropout = 0 };
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var bert = new Bert(config);
        using var store = ParameterStore.Materialize(device, bert, seed: 4);
        TorchState.ShakeVectors(store, 0.1f);
        var state = new TorchState(store);
        var random = new Philox(5, 6);
        var ids = Enumerable.Range(0, lengths.Length * Longest).Select(i => random.Next((ulong)i, Words)).ToArray();
        var peer = new TorchBert(state, config, padded: lengths);
        int[] even = [.. Enumerable.Range(0, lengths.Length + 1).Select(b => b * Longest)];
        var hidden = peer.Hidden(ids, even, new TorchDropout(0, 0, 0));
        var expected = peer.Pool(hidden, even);
        var real = torch.cat([.. lengths.Select((n, b) => hidden[(b * Longest)..(b * Longest + n)])]);

        using var step = device.BeginStep();
        int[] packed = [.. lengths.SelectMany((n, b) => ids.AsSpan(b * Longest, n).ToArray())];
        var text = PackedText.From(device, packed, [0, 64, 105, 117, 122]);
        var ours = bert.Forward(text, new DropoutStream(0, 0));
        Torch.Near(real, ours, Output, "hidden states");
        var embedding = bert.Pool(ours, text).Keep();
        Torch.Near(expected, embedding, Output, "embedding");
        Torch.Backward(embedding, expected);
        state.GradientsAreNear(Gradient);
    }

    /// <summary>The multi-modal SE block and both tasks' own layers at full width, behind encoders of one block a stage, and one layer.</summary>
    [Fact]
    public void Colorization()
    {
        var config = Config([1, 1, 1, 1], 1);
        Task(config, (model, device, dropout) =>
        {
            var captions = Tensor.From(device, Torch.Normal(Pairs * 768, 5), new Shape(Pairs, 768)).WithGrad();
            var y = model.Task<TicTask>()!.Colorize(model.Visual, Ops.ToGray(Ours(device, Pixels()), s_image.Mean, s_image.Std), captions);
            return (y, captions);
        }, tasks =>
        {
            var captions = Torch.Of(Torch.Normal(Pairs * 768, 5), Pairs, 768).requires_grad_();
            return (tasks.Colorize(TorchLosses.ToGray(Theirs(Pixels()), s_image.Mean, s_image.Std), captions), captions);
        });
    }

    [Fact]
    public void Attribute_prediction()
    {
        var config = Config([1, 1, 1, 1], 1);
        Task(config, (model, device, dropout) =>
        {
            var pictures = Tensor.From(device, Torch.Normal(Pairs * 768, 5), new Shape(Pairs, 768)).WithGrad();
            return (model.Task<IapTask>()!.Predict(model, pictures, Masked(device), dropout), pictures);
        }, tasks =>
        {
            var pictures = Torch.Of(Torch.Normal(Pairs * 768, 5), Pairs, 768).requires_grad_();
            return (tasks.Predict(pictures, Ids(masked: true), s_offsets, s_places, new TorchDropout(0, 0, 0)), pictures);
        });
    }

    /// <summary>
    /// plip-rn50 as it is configured, BERT's first seven layers frozen, with a vocabulary of 2,000 words and without dropout: each task's loss, their weighted sum,
    /// every parameter's gradient, both sets of running statistics.
    /// </summary>
    [Fact]
    public void The_whole_loss_of_plip_rn50()
    {
        var config = ConfigFile.Load("plip-rn50");
        config.Text.VocabularySize = Words;
        config.Text.Dropout = 0;
        ((ModifiedResNetConfig)config.Visual).ZeroInitResidual = false;
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        TorchState.ShakeVectors(store, 0.1f);
        OpenOrShut(store);
        var state = new TorchState(store);
        var tasks = new TorchTasks(state, config);
        var none = new TorchDropout(0, 0, 0);
        var images = Theirs(Pixels());
        var (v, t) = (tasks.Image(images), tasks.Caption(Ids(masked: false), s_offsets, none));
        var losses = new[]
        {
            TorchLosses.Cmpm(v, t, Torch.Ids(0, 1), cosines: false, 1, labelsByL2: false),
            TorchLosses.Euclidean(tasks.Colorize(TorchLosses.ToGray(images, s_image.Mean, s_image.Std), t), images),
            functional.cross_entropy(tasks.Predict(v, Ids(masked: true), s_offsets, s_places, none), Torch.Ids(Answers())),
        };
        var expected = losses[0] + 0.02 * losses[1] + 0.1 * losses[2];

        using var step = device.BeginStep();
        var batch = new TaskBatch(
            model, Ours(device, Pixels()), Tensor.From<int>(device, [0, 1], new Shape(Pairs)), PackedText.From(device, Ids(masked: false), s_offsets), Masked(device),
            new DropoutStream(0, 0));
        var terms = model.Tasks.Select(task => (Loss: task.Loss(batch)!, task.Weight)).ToList();
        Assert.Equal(["ivlc", "tic", "iap"], model.Tasks.Select(task => task.Name));
        for (var k = 0; k < 3; k++) Torch.Near(losses[k], terms[k].Loss, Output, model.Tasks[k].Name);
        var total = Ops.WeightedSum(terms);
        Torch.Near(expected, total, Output, "the weighted sum");
        total.Backward();
        expected.backward();
        state.GradientsAreNear(Gradient);
        state.SameStatistics(Output);
        Assert.Contains(store.Parameters, p => p.Parameter.Frozen);
    }

    // Two captions of 64 and 23 tokens, seven words of them masked.
    private static readonly int[] s_offsets = [0, 64, 87], s_places = [2, 3, 17, 40, 62, 66, 80];

    private static int[] Ids(bool masked)
    {
        var random = new Philox(8, 1);
        return [.. Enumerable.Range(0, s_offsets[^1]).Select(i => masked && s_places.Contains(i) ? 4 : 5 + random.Next((ulong)i, Words - 5))];
    }

    private static int[] Answers()
    {
        var ids = Ids(masked: false);
        return Array.ConvertAll(s_places, i => ids[i]);
    }

    private static MaskedCaptions Masked(Device device)
    {
        var labels = Ids(masked: false).Select((id, i) => s_places.Contains(i) ? id : -100).ToArray();
        return MaskedCaptions.From(device, Ids(masked: true), s_offsets, labels);
    }

    private static PlipConfig Config(int[] layers, int textLayers) => new()
    {
        Name = "wide",
        Image = s_image,
        Visual = new ModifiedResNetConfig { Layers = layers, ZeroInitResidual = false },
        Text = new BertConfig { Layers = textLayers, VocabularySize = Words, Dropout = 0 },
    };

    /// <summary>
    /// Batch norms of a ResNet whose channels lie all above zero or all below it, half of them each; those before a sum above. Deviations are a twelfth of that distance, a
    /// twentieth of half of it before a sum, and the corners of padded maps stand out by some eight.
    /// </summary>
    private static void OpenOrShut(ParameterStore store)
    {
        var random = new Philox(99, 3);
        var at = 0ul;
        foreach (var (name, parameter) in store.Parameters)
        {
            var parts = name.Split('.');
            var shortcut = name.Contains("downsample.1.", StringComparison.Ordinal);
            if (parts.Length < 2 || (!shortcut && !parts[^2].StartsWith("bn", StringComparison.Ordinal))) continue;
            var sum = parts[^2] == "bn3" && name.Contains("layer", StringComparison.Ordinal);
            var values = new float[parameter.Shape.Count];
            for (var i = 0; i < values.Length; i++)
            {
                var u = random.Uniform(at++, -1, 1);
                values[i] = parts[^1] == "weight" ? (sum ? 0.05f : 0.08f) * (1 + 0.2f * u) : sum ? 0.5f : shortcut || u > 0 ? 1f : -1f;
            }
            parameter.Value.CopyFrom<float>(values);
        }
    }

    /// <summary>An encoder: its maps, its embedding, the gradient of every parameter, running statistics if it has any.</summary>
    private static void Encodes(VisualEncoder encoder, Func<TorchState, torch.Tensor, (torch.Tensor[] Stages, torch.Tensor Embedding)> peer)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        using var store = ParameterStore.Materialize(device, encoder, seed: 3);
        TorchState.ShakeVectors(store, 0.1f);
        OpenOrShut(store);
        var state = new TorchState(store);
        var pixels = Pixels();
        var t = Theirs(pixels).requires_grad_();
        var (stages, expected) = peer(state, t);

        using var step = device.BeginStep();
        var x = Ours(device, pixels).WithGrad();
        var ours = encoder.Stages(x, VisualPass.Colour, new DropoutStream(7, 2));
        for (var s = 0; s < stages.Length; s++) Torch.Near(stages[s], ours[s], Output, $"F{s + 1}");
        var embedding = encoder.Embed(ours[^1]).Keep();
        Torch.Near(expected, embedding, Output, "embedding");
        // The maps too, as colorization does: behind a mean and batch norms next to nothing comes back from the embedding alone.
        Torch.Backward([.. ours.Zip(stages), (embedding, expected)]);
        Torch.Near(t.grad!, x.Grad!, Gradient, "gradient of the pictures");
        state.GradientsAreNear(Gradient);
        if (encoder is ModifiedResNet) state.SameStatistics(Output);
    }

    /// <summary>A task's own result, and the gradients of what it was given besides and of every parameter.</summary>
    private static void Task(PlipConfig config, Func<PlipModel, Device, DropoutStream, (Tensor Result, Tensor Given)> ours, Func<TorchTasks, (torch.Tensor Result, torch.Tensor Given)> theirs)
    {
        using var device = new CpuDevice();
        using var scope = torch.NewDisposeScope();
        var model = new PlipModel(config);
        using var store = model.Materialize(device);
        TorchState.ShakeVectors(store, 0.1f);
        var state = new TorchState(store);
        var (expected, given) = theirs(new TorchTasks(state, config));

        using var step = device.BeginStep();
        var (result, input) = ours(model, device, new DropoutStream(0, 0));
        var y = result.Keep();
        Torch.Near(expected, y, Output, "result");
        Torch.Backward(y, expected);
        Torch.Near(given.grad!, input.Grad!, Gradient, "gradient of the other side");
        state.GradientsAreNear(Gradient);
    }
}
