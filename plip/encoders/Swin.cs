using Plip.Configs;
using Plip.Engine;

namespace Plip.Encoders;

/// <summary>Swin of any size; as it stands Swin-B. T and S have width 96, heads 3, 6, 12, 24, and T depths 2, 2, 6, 2.</summary>
public sealed record SwinConfig : VisualConfig
{
    /// <summary>Channels of the first stage; each next has twice as many.</summary>
    public int Width { get; set; } = 128;

    /// <summary>Blocks of the four stages.</summary>
    public int[] Depths { get; set; } = [2, 2, 18, 2];

    /// <summary>Attention heads of the four stages.</summary>
    public int[] Heads { get; set; } = [4, 8, 16, 32];

    /// <summary>Rows and columns of a window of tokens.</summary>
    public int Window { get; set; } = 7;

    /// <summary>Probability at which a picture goes without the last block's branches; it grows from 0 along the blocks. 0.2, 0.3, 0.5 for T, S, B.</summary>
    public float StochasticDepth { get; set; } = 0.5f;

    /// <inheritdoc/>
    public override VisualEncoder Build(ImageConfig image, int embedding) => new Swin(this, embedding);

    internal override void Validate(ImageConfig image)
    {
        ConfigException.Require(Width is >= 4 and <= 1024, "visual.width", Width, "4 to 1024");
        ConfigException.Require(Depths.Length == 4 && Depths.All(n => n is >= 1 and <= 64), "visual.depths", string.Join(", ", Depths), "four numbers of blocks, each 1 to 64");
        ConfigException.Require(
            Heads.Length == 4 && Heads.Select((h, s) => h >= 1 && (Width << s) % h == 0).All(fits => fits),
            "visual.heads", string.Join(", ", Heads), $"four divisors of the stages' channels, {Width}, {2 * Width}, {4 * Width}, {8 * Width}");
        ConfigException.Require(Window is >= 2 and <= 10, "visual.window", Window, "2 to 10 tokens");
        ConfigException.Require(StochasticDepth is >= 0 and < 1, "visual.stochasticDepth", StochasticDepth, "0 to below 1");
    }
}

/// <summary>
/// Swin transformer (Liu et al., arXiv:2103.14030): patches of 4×4 pixels, blocks of attention within windows that are shifted in every other
/// block, and between stages patches merged four to one. Keys are torchvision's; "head" leads to the embedding in place of classes. The stage maps
/// are those that go on to the next stage, not normalised. There are no running statistics: colour and gray pictures share all there is.
/// </summary>
public sealed class Swin : VisualEncoder
{
    private const int Patch = 4;

    private readonly Conv2d _patches;
    private readonly LayerNorm _patchNorm, _norm;
    private readonly PatchMerging?[] _merging = new PatchMerging?[4];
    private readonly ModuleList<SwinBlock>[] _blocks = new ModuleList<SwinBlock>[4];
    private readonly Linear _head;
    private readonly float _depth;

    /// <summary>An encoder; pictures may have any size.</summary>
    public Swin(SwinConfig config, int embedding)
    {
        _depth = config.StochasticDepth;
        _patches = Child("features.0.0", new Conv2d(3, config.Width, Patch, Patch));
        _patchNorm = Child("features.0.2", new LayerNorm(config.Width));
        StageChannels = [config.Width, 2 * config.Width, 4 * config.Width, 8 * config.Width];
        var (id, last) = (0, Math.Max(1, config.Depths.Sum() - 1));
        for (var s = 0; s < 4; s++)
        {
            var c = StageChannels[s];
            if (s > 0) _merging[s] = Child($"features.{2 * s}", new PatchMerging(c / 2));
            _blocks[s] = Child($"features.{2 * s + 1}", new ModuleList<SwinBlock>([.. Enumerable.Range(0, config.Depths[s]).Select(
                b => new SwinBlock(c, config.Heads[s], config.Window, b % 2 == 0 ? 0 : config.Window / 2, _depth * id++ / last))]));
        }
        _norm = Child("norm", new LayerNorm(StageChannels[3]));
        _head = Child("head", new Linear(StageChannels[3], embedding, init: SwinBlock.Start));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int> StageChannels { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">It trains with stochastic depth, and no streams are given.</exception>
    public override Tensor[] Stages(Tensor images, VisualPass pass = VisualPass.Colour, DropoutStream? dropout = null)
    {
        if (Training && _depth > 0 && dropout == null)
            throw new ArgumentException("Swin.Stages: to train with stochastic depth it needs the step's DropoutStream; hand it over, call Eval() first, or set visual.stochasticDepth to 0");
        var x = Part(images, h => _patchNorm.Forward(_patches.Forward(h)));
        var stages = new Tensor[4];
        for (var s = 0; s < 4; s++)
        {
            // Stage maps are handed out; of what lies between, evaluation keeps nothing.
            if (_merging[s] is { } merging) x = Part(x, merging.Forward);
            foreach (var block in _blocks[s])
            {
                var before = x;
                x = Part(x, h => block.Forward(h, dropout), dropout);
                if (!x.Device.Recording) before.Release();
            }
            stages[s] = x;
        }
        return stages;
    }

    /// <summary>The global embedding (N, D): F4 normalised, averaged over its places, then a linear layer.</summary>
    public override Tensor Embed(Tensor lastStage) => _head.Forward(Ops.MeanPixels(_norm.Forward(lastStage)));
}

/// <summary>Attention within windows and a feed-forward part, each normalised before and added to what it was given, by chance not at all.</summary>
internal sealed class SwinBlock : Module
{
    private readonly LayerNorm _norm1, _norm2;
    private readonly ShiftedWindowAttention _attention;
    private readonly Linear _inner, _outer;
    private readonly float _skip;

    public SwinBlock(int channels, int heads, int window, int shift, float skip)
    {
        _skip = skip;
        _norm1 = Child("norm1", new LayerNorm(channels));
        _attention = Child("attn", new ShiftedWindowAttention(channels, heads, window, shift));
        _norm2 = Child("norm2", new LayerNorm(channels));
        _inner = Child("mlp.0", new Linear(channels, 4 * channels, init: Start));
        _outer = Child("mlp.3", new Linear(4 * channels, channels, init: Start));
    }

    internal static Init Start => Init.Normal(0.02f);

    /// <summary>(N, H, W, C) → the same.</summary>
    public Tensor Forward(Tensor x, DropoutStream? dropout)
    {
        x = Add(x, _attention.Forward(_norm1.Forward(x)), dropout);
        return Add(x, _outer.Forward(_inner.ForwardGelu(_norm2.Forward(x))), dropout);
    }

    private Tensor Add(Tensor x, Tensor branch, DropoutStream? dropout) =>
        Training && dropout != null ? dropout.AddBranch(x, branch, _skip) : Ops.Add(x, branch);
}

/// <summary>Attention within shifted windows, biased by a table over relative positions.</summary>
internal sealed class ShiftedWindowAttention : Module
{
    private readonly Parameter _table;
    private readonly Linear _qkv, _output;
    private readonly int _heads, _window, _shift;

    public ShiftedWindowAttention(int channels, int heads, int window, int shift)
    {
        (_heads, _window, _shift) = (heads, window, shift);
        var reach = 2 * window - 1;
        _table = Param("relative_position_bias_table", new Shape(reach * reach, heads), SwinBlock.Start);
        Constant("relative_position_index", Index(window));
        _qkv = Child("qkv", new Linear(channels, 3 * channels, init: SwinBlock.Start));
        _output = Child("proj", new Linear(channels, channels, init: SwinBlock.Start));
    }

    /// <summary>(N, H, W, C) → the same. Places that fill windows at the border are zeros to torchvision, of which the layer makes its bias.</summary>
    public Tensor Forward(Tensor x) =>
        _output.Forward(Ops.WindowAttention(_qkv.Forward(x), _qkv.Bias!.Value, _table.Value, _heads, _window, _shift));

    /// <summary>torchvision's buffer: the table's row for each query and key of a window. The op works it out; the checkpoint has it.</summary>
    private static long[] Index(int window)
    {
        var (tokens, reach) = (window * window, 2 * window - 1);
        var index = new long[tokens * tokens];
        for (var i = 0; i < tokens; i++)
            for (var j = 0; j < tokens; j++)
                index[i * tokens + j] = (i / window - j / window + window - 1) * reach + i % window - j % window + window - 1;
        return index;
    }
}

/// <summary>Four neighbouring places become one of twice the channels: (N, H, W, C) → (N, ⌈H/2⌉, ⌈W/2⌉, 2C).</summary>
internal sealed class PatchMerging : Module
{
    private readonly Linear _reduction;
    private readonly LayerNorm _norm;

    public PatchMerging(int channels)
    {
        _reduction = Child("reduction", new Linear(4 * channels, 2 * channels, bias: false, init: SwinBlock.Start));
        _norm = Child("norm", new LayerNorm(4 * channels));
    }

    public Tensor Forward(Tensor x)
    {
        x = WithZeros(WithZeros(x, 1), 2);
        int n = x.Shape[0], h = x.Shape[1], w = x.Shape[2], c = x.Cols;
        // torchvision's order: (even row, even column), (odd, even), (even, odd), (odd, odd). So each two rows are dealt out in turn.
        var rows = Ops.Reshape(x, n * (h / 2), 2, w * c);
        Tensor Row(int which) => Ops.Reshape(Ops.Slice(rows, 1, which, 1), n * (h / 2) * w, c);
        var merged = Ops.Reshape(Ops.Concat([Row(0), Row(1)], 1), n, h / 2, w / 2, 4 * c);
        return _reduction.Forward(_norm.Forward(merged));
    }

    /// <summary>A last row or column of zeros where their number is odd.</summary>
    private static Tensor WithZeros(Tensor x, int axis)
    {
        if (x.Shape[axis] % 2 == 0) return x;
        var shape = x.Shape.ToArray();
        shape[axis] = 1;
        return Ops.Concat([x, Tensor.Zeros(x.Device, new Shape(shape), x.DType)], axis);
    }
}
