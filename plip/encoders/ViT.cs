using Plip.Configs;
using Plip.Engine;

namespace Plip.Encoders;

/// <summary>ViT of any size; as it stands ViT-S/16. ViT-B/16 has width 768 and 12 heads.</summary>
public sealed record ViTConfig : VisualConfig
{
    /// <summary>Rows and columns of a patch in pixels.</summary>
    public int Patch { get; set; } = 16;

    /// <summary>Channels of a token; the feed-forward part has four times as many.</summary>
    public int Width { get; set; } = 384;

    /// <summary>Blocks.</summary>
    public int Layers { get; set; } = 12;

    /// <summary>Attention heads.</summary>
    public int Heads { get; set; } = 6;

    /// <inheritdoc/>
    public override VisualEncoder Build(ImageConfig image, int embedding) => new ViT(this, image, embedding);

    internal override bool HasStages => false;

    internal override void Validate(ImageConfig image)
    {
        ConfigException.Require(
            Patch >= 4 && image.Height % Patch == 0 && image.Width % Patch == 0, "visual.patch", Patch, $"4 or more, a divisor of the picture's {image.Height}×{image.Width}");
        ConfigException.Require(Width is >= 4 and <= 4096, "visual.width", Width, "4 to 4096");
        ConfigException.Require(Layers is >= 1 and <= 96, "visual.layers", Layers, "1 to 96");
        ConfigException.Require(Heads >= 1 && Width % Heads == 0, "visual.heads", Heads, $"a divisor of visual.width, {Width}");
    }
}

/// <summary>
/// Vision transformer (Dosovitskiy et al., arXiv:2010.11929), pre-LN, with a class token and learned positions. Keys are torchvision's;
/// "heads.head" leads to the embedding in place of classes. All its maps have one size, so there is nothing for colorization.
/// </summary>
public sealed class ViT : VisualEncoder
{
    private readonly Parameter _class, _positions;
    private readonly Conv2d _patches;
    private readonly ModuleList<ViTLayer> _layers;
    private readonly LayerNorm _norm;
    private readonly Linear _head;
    private readonly int _tokens;

    /// <summary>An encoder for pictures of this size.</summary>
    public ViT(ViTConfig config, ImageConfig image, int embedding)
    {
        var (patch, width) = (config.Patch, config.Width);
        _tokens = image.Height / patch * (image.Width / patch) + 1;
        _class = Param("class_token", new Shape(1, 1, width), Init.Zeros);
        _positions = Param("encoder.pos_embedding", new Shape(1, _tokens, width), Init.Normal(0.02f));
        _patches = Child("conv_proj", new Conv2d(3, width, patch, patch, init: Init.Normal(1f / MathF.Sqrt(3f * patch * patch))));
        _layers = Child("encoder.layers", new ModuleList<ViTLayer>([.. Enumerable.Range(0, config.Layers).Select(_ => new ViTLayer(width, config.Heads))], "encoder_layer_"));
        _norm = Child("encoder.ln", new LayerNorm(width, ViTLayer.Epsilon));
        _head = Child("heads.head", new Linear(width, embedding));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int> StageChannels => [];

    /// <summary>The last block's tokens (N, 1 + patches, C), the class token first, as the only element.</summary>
    /// <exception cref="ArgumentException">The pictures have another size than the configuration's.</exception>
    public override Tensor[] Stages(Tensor images, VisualPass pass = VisualPass.Colour, DropoutStream? dropout = null)
    {
        var x = Part(images, Tokens);
        var (n, width) = (images.Shape[0], x.Cols);
        foreach (var layer in _layers)
        {
            var before = x;
            x = Part(x, h => layer.Forward(h, n));
            if (!x.Device.Recording) before.Release();
        }
        return [Ops.Reshape(x, n, _tokens, width)];
    }

    /// <summary>The global embedding (N, D): the class token, normalised, then a linear layer.</summary>
    public override Tensor Embed(Tensor lastStage) =>
        _head.Forward(_norm.Forward(Ops.Reshape(Ops.Slice(lastStage, 1, 0, 1), lastStage.Shape[0], lastStage.Cols)));

    /// <summary>Pictures (N, H, W, 3) to tokens (N·(1 + patches), C) with their positions.</summary>
    private Tensor Tokens(Tensor images)
    {
        var maps = _patches.Forward(images);
        int n = maps.Shape[0], patches = maps.Shape[1] * maps.Shape[2], width = maps.Cols;
        if (patches + 1 != _tokens) throw new ArgumentException($"ViT was built for {_tokens - 1} patches, got pictures of shape {images.Shape}; the picture's size must be the configuration's");
        var first = Ops.BroadcastRows(Ops.Reshape(_class.Compute, width), new Shape(n, 1, width));
        var all = Ops.Concat([first, Ops.Reshape(maps, n, patches, width)], 1);
        var positions = Ops.BroadcastRows(Ops.Reshape(_positions.Compute, _tokens * width), new Shape(n, _tokens * width));
        return Ops.Add(Ops.Reshape(all, n * _tokens, width), Ops.Reshape(positions, n * _tokens, width));
    }
}

/// <summary>One transformer block, pre-LN.</summary>
internal sealed class ViTLayer : Module
{
    internal const float Epsilon = 1e-6f; // torchvision's for ViT

    private readonly LayerNorm _norm1, _norm2;
    private readonly SelfAttention _attention;
    private readonly Linear _inner, _outer;

    public ViTLayer(int width, int heads)
    {
        var start = Init.Uniform(MathF.Sqrt(6f / (5 * width))); // Xavier, of width and four times as many
        _norm1 = Child("ln_1", new LayerNorm(width, Epsilon));
        _attention = Child("self_attention", new SelfAttention(width, heads));
        _norm2 = Child("ln_2", new LayerNorm(width, Epsilon));
        _inner = Child("mlp.0", new Linear(width, 4 * width, init: start));
        _outer = Child("mlp.3", new Linear(4 * width, width, init: start));
    }

    /// <summary>(N·tokens, C) → the same.</summary>
    public Tensor Forward(Tensor x, int pictures)
    {
        x = Ops.Add(x, _attention.Forward(_norm1.Forward(x), pictures));
        return Ops.Add(x, _outer.Forward(_inner.ForwardGelu(_norm2.Forward(x))));
    }
}

/// <summary>PyTorch's MultiheadAttention of a sequence with itself: one matrix for queries, keys and values.</summary>
internal sealed class SelfAttention : Module
{
    private readonly Parameter _weight, _bias;
    private readonly Linear _output;
    private readonly int _heads;

    public SelfAttention(int width, int heads)
    {
        _heads = heads;
        _weight = Param("in_proj_weight", new Shape(3 * width, width), Init.Uniform(MathF.Sqrt(6f / (4 * width))));
        _bias = Param("in_proj_bias", new Shape(3 * width), Init.Zeros);
        _output = Child("out_proj", new Linear(width, width, init: Init.Kaiming(width)));
    }

    public Tensor Forward(Tensor x, int pictures)
    {
        var c = x.Cols;
        var qkv = Ops.Linear(Ops.Cast(x, _weight.Compute.DType), _weight.Compute, _bias.Value);
        var offsets = Ops.EvenOffsets(x.Device, pictures, x.Rows / pictures);
        return _output.Forward(Ops.Attention(Ops.Slice(qkv, 1, 0, c), Ops.Slice(qkv, 1, c, c), Ops.Slice(qkv, 1, 2 * c, c), offsets, _heads));
    }
}
