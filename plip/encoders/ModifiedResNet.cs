using Plip.Configs;
using Plip.Engine;

namespace Plip.Encoders;

/// <summary>The head that turns F4 into the global embedding.</summary>
public enum ResNetHead
{
    /// <summary>Max pool over positions, then linear: the paper's.</summary>
    MaxLinear,

    /// <summary>Mean over positions, then linear: a row of the paper's comparison of pooling.</summary>
    MeanLinear,

    /// <summary>CLIP's attention pool: the released checkpoint's.</summary>
    AttentionPool,
}

/// <summary>CLIP's ModifiedResNet of any depth and width.</summary>
public sealed record ModifiedResNetConfig : VisualConfig
{
    /// <summary>Bottlenecks in each of the four stages; ResNet-50 is 3, 4, 6, 3.</summary>
    public int[] Layers { get; set; } = [3, 4, 6, 3];

    /// <summary>Channels after the stem; stages have 4, 8, 16 and 32 times as many.</summary>
    public int Width { get; set; } = 64;

    /// <summary>Head.</summary>
    public ResNetHead Head { get; set; } = ResNetHead.MaxLinear;

    /// <summary>Heads of the attention pool; the released checkpoint has 8 of 256.</summary>
    public int Heads { get; set; } = 8;

    /// <summary>Start the last batch norm of each bottleneck at 0, as the paper's encoder does (costs a little in short runs).</summary>
    public bool ZeroInitResidual { get; set; } = true;

    /// <inheritdoc/>
    public override VisualEncoder Build(ImageConfig image, int embedding) => new ModifiedResNet(this, image, embedding);

    internal override void Validate(ImageConfig image)
    {
        ConfigException.Require(Layers.Length == 4 && Layers.All(n => n is >= 1 and <= 64), "visual.layers", string.Join(", ", Layers), "four numbers of bottlenecks, each 1 to 64");
        ConfigException.Require(Width is >= 2 and <= 512 && Width % 2 == 0, "visual.width", Width, "an even number from 2 to 512");
        ConfigException.Require(Head != ResNetHead.AttentionPool || (Heads >= 1 && 32 * Width % Heads == 0), "visual.heads", Heads, $"a divisor of F4's {32 * Width} channels");
        ConfigException.Require(image.Height % 32 == 0 && image.Width % 16 == 0 && image.Width >= 32, "image", $"{image.Height}×{image.Width}", "a height that is a multiple of 32 and a width that is one of 16, at least 32");
    }
}

/// <summary>
/// CLIP's ModifiedResNet (Radford et al., arXiv:2103.00020): a stem of three 3×3 convolutions and an average pool;
/// bottlenecks whose convolutions all have stride 1, a stride being an average pool before the third convolution and
/// before the shortcut's. Keys are CLIP's; the head of the paper adds "head.weight" and "head.bias".
/// </summary>
public sealed class ModifiedResNet : VisualEncoder
{
    private readonly Conv2d _conv1, _conv2, _conv3;
    private readonly BatchNorm2d _bn1, _bn2, _bn3;
    private readonly ModuleList<Bottleneck>[] _layers;
    private readonly ResNetHead _pool;
    private readonly Linear? _head;
    private readonly AttentionPool? _attentionPool;

    /// <summary>An encoder for pictures of this size.</summary>
    public ModifiedResNet(ModifiedResNetConfig config, ImageConfig image, int embedding)
    {
        var w = config.Width;
        _conv1 = Child("conv1", new Conv2d(3, w / 2, 3, stride: 2, padding: 1, bias: false));
        _bn1 = Child("bn1", new BatchNorm2d(w / 2, sets: 2));
        _conv2 = Child("conv2", new Conv2d(w / 2, w / 2, 3, padding: 1, bias: false));
        _bn2 = Child("bn2", new BatchNorm2d(w / 2, sets: 2));
        _conv3 = Child("conv3", new Conv2d(w / 2, w, 3, padding: 1, bias: false));
        _bn3 = Child("bn3", new BatchNorm2d(w, sets: 2));
        StageChannels = [4 * w, 8 * w, 16 * w, 32 * w];
        _layers = new ModuleList<Bottleneck>[4];
        var channels = w;
        for (var s = 0; s < 4; s++)
        {
            var planes = w << s;
            var blocks = new List<Bottleneck>();
            for (var b = 0; b < config.Layers[s]; b++)
            {
                blocks.Add(new Bottleneck(channels, planes, b == 0 && s > 0 ? 2 : 1, config.ZeroInitResidual));
                channels = planes * Bottleneck.Expansion;
            }
            _layers[s] = Child($"layer{s + 1}", new ModuleList<Bottleneck>(blocks));
        }
        _pool = config.Head;
        if (config.Head != ResNetHead.AttentionPool) _head = Child("head", new Linear(channels, embedding));
        else _attentionPool = Child("attnpool", new AttentionPool(image.Height / 32 * (image.Width / 32), channels, config.Heads, embedding));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int> StageChannels { get; }

    /// <inheritdoc/>
    public override Tensor[] Stages(Tensor images, VisualPass pass = VisualPass.Colour, DropoutStream? dropout = null)
    {
        var statistics = pass == VisualPass.Both ? new StatisticsSets(0, 2) : new StatisticsSets((int)pass, 1);
        var x = Part(images, h =>
        {
            h = _bn1.Forward(_conv1, h, statistics, relu: true);
            h = _bn2.Forward(_conv2, h, statistics, relu: true);
            h = _bn3.Forward(_conv3, h, statistics, relu: true);
            return Ops.AvgPool2d(h, 2);
        });
        var stages = new Tensor[4];
        for (var s = 0; s < 4; s++)
        {
            var blocks = _layers[s];
            stages[s] = x = Part(x, h =>
            {
                foreach (var block in blocks) h = block.Forward(h, statistics);
                return h;
            });
        }
        return stages;
    }

    /// <inheritdoc/>
    public override Tensor Embed(Tensor lastStage) => _pool switch
    {
        ResNetHead.MaxLinear => _head!.Forward(Ops.MaxPixels(lastStage)),
        ResNetHead.MeanLinear => _head!.Forward(Ops.MeanPixels(lastStage)),
        _ => _attentionPool!.Forward(lastStage),
    };
}

/// <summary>1×1, 3×3, 1×1 with a shortcut; a stride is an average pool before the last 1×1 and before the shortcut's.</summary>
internal sealed class Bottleneck : Module
{
    public const int Expansion = 4;

    private readonly Conv2d _conv1, _conv2, _conv3;
    private readonly BatchNorm2d _bn1, _bn2, _bn3;
    private readonly Conv2d? _shortcutConv;
    private readonly BatchNorm2d? _shortcutNorm;
    private readonly int _stride;

    public Bottleneck(int channels, int planes, int stride, bool zeroInit)
    {
        _stride = stride;
        _conv1 = Child("conv1", new Conv2d(channels, planes, 1, bias: false));
        _bn1 = Child("bn1", new BatchNorm2d(planes, sets: 2));
        _conv2 = Child("conv2", new Conv2d(planes, planes, 3, padding: 1, bias: false));
        _bn2 = Child("bn2", new BatchNorm2d(planes, sets: 2));
        _conv3 = Child("conv3", new Conv2d(planes, planes * Expansion, 1, bias: false));
        _bn3 = Child("bn3", new BatchNorm2d(planes * Expansion, zeroInit ? 0f : 1f, sets: 2));
        if (stride == 1 && channels == planes * Expansion) return;
        _shortcutConv = Child("downsample.0", new Conv2d(channels, planes * Expansion, 1, bias: false));
        _shortcutNorm = Child("downsample.1", new BatchNorm2d(planes * Expansion, sets: 2));
    }

    public Tensor Forward(Tensor x, StatisticsSets statistics)
    {
        var y = _bn1.Forward(_conv1, x, statistics, relu: true);
        y = _bn2.Forward(_conv2, y, statistics, relu: true);
        if (_stride > 1) y = Ops.AvgPool2d(y, _stride);
        var identity = x;
        if (_shortcutConv != null)
        {
            if (_stride > 1) identity = Ops.AvgPool2d(identity, _stride);
            identity = _shortcutNorm!.Forward(_shortcutConv, identity, statistics);
        }
        return _bn3.Forward(_conv3, y, statistics, relu: true, residual: identity);
    }
}

/// <summary>
/// CLIP's attention pool: the mean joins the positions as token 0, a learned position embedding is added, and the mean
/// token alone asks. Keys q_proj, k_proj, v_proj, c_proj, positional_embedding.
/// </summary>
internal sealed class AttentionPool : Module
{
    private readonly Parameter _position;
    private readonly Linear _query, _key, _value, _output;
    private readonly int _positions, _channels, _heads;

    public AttentionPool(int positions, int channels, int heads, int embedding)
    {
        (_positions, _channels, _heads) = (positions, channels, heads);
        _position = Param("positional_embedding", new Shape(positions + 1, channels), Init.Normal(1f / MathF.Sqrt(channels)));
        var init = Init.Normal(1f / MathF.Sqrt(channels));
        _query = Child("q_proj", new Linear(channels, channels, init: init));
        _key = Child("k_proj", new Linear(channels, channels, init: init));
        _value = Child("v_proj", new Linear(channels, channels, init: init));
        _output = Child("c_proj", new Linear(channels, embedding, init: init));
    }

    /// <summary>(N, H, W, C) → (N, D).</summary>
    public Tensor Forward(Tensor x)
    {
        int n = x.Shape[0], tokens = _positions + 1;
        if (x.Shape[1] * x.Shape[2] != _positions)
            throw new ArgumentException($"attnpool was built for {_positions} positions, got maps of shape {x.Shape}; the picture's size must be the configuration's");
        var all = Ops.Concat([Ops.Reshape(Ops.MeanPixels(x), n, 1, _channels), Ops.Reshape(x, n, _positions, _channels)], 1);
        var position = Ops.BroadcastRows(Ops.Reshape(_position.Compute, tokens * _channels), new Shape(n, tokens * _channels));
        all = Ops.Add(all, Ops.Reshape(position, n, tokens, _channels));
        var flat = Ops.Reshape(all, n * tokens, _channels);
        var mean = Ops.Reshape(Ops.Slice(all, 1, 0, 1), n, _channels);
        var each = Ops.EvenOffsets(x.Device, n, tokens);
        var one = Ops.EvenOffsets(x.Device, n, 1);
        var pooled = Ops.Attention(_query.Forward(mean), _key.Forward(flat), _value.Forward(flat), one, each, _heads);
        return _output.Forward(pooled);
    }
}
