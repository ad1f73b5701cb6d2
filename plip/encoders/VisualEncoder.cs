using System.Text.Json.Serialization;
using Plip.Configs;
using Plip.Engine;

namespace Plip.Encoders;

/// <summary>
/// Configuration of a picture encoder, chosen by its declared "type". A new backbone is a file with a record and an
/// encoder, and one line here.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(ModifiedResNetConfig), "modified-resnet")]
[JsonDerivedType(typeof(SwinConfig), "swin")]
[JsonDerivedType(typeof(ViTConfig), "vit")]
public abstract record VisualConfig
{
    /// <summary>Builds the encoder; it has no memory until its store is materialised.</summary>
    /// <param name="image">The pictures it will see.</param>
    /// <param name="embedding">Width of its global embedding.</param>
    public abstract VisualEncoder Build(ImageConfig image, int embedding);

    internal abstract void Validate(ImageConfig image);

    /// <summary>Whether the encoder has maps of four sizes, as colorization needs them.</summary>
    internal virtual bool HasStages => true;
}

/// <summary>A picture encoder with four stages of maps, as the colorization task needs them, and a global embedding.</summary>
public abstract class VisualEncoder : Module
{
    /// <summary>Whether stages are run again in the backward in place of keeping what they make.</summary>
    public bool Recomputes { get; set; }

    /// <summary>Channels of the four stages; none of an encoder that has no hierarchy.</summary>
    public abstract IReadOnlyList<int> StageChannels { get; }

    /// <summary>
    /// The four stage maps F1..F4, (N, H/4, W/4, C1) to (N, H/32, W/32, C4), of pictures (N, H, W, 3). An encoder without a hierarchy
    /// gives one tensor, of which <see cref="Embed"/> makes the embedding.
    /// </summary>
    /// <param name="images">Normalised pictures; with <see cref="VisualPass.Both"/> (2N, H, W, 3), the colour ones first.</param>
    /// <param name="pass">Whose batch statistics are used: the gray pass must not touch those of the colour pass.</param>
    /// <param name="dropout">The step's random streams, for an encoder that leaves out branches by chance as it trains.</param>
    public abstract Tensor[] Stages(Tensor images, VisualPass pass = VisualPass.Colour, DropoutStream? dropout = null);

    /// <summary>The global embedding (N, D) from F4.</summary>
    public abstract Tensor Embed(Tensor lastStage);

    /// <summary>A stage or the stem: what it makes on its way is kept, made again in the backward, or, without one, given back at once.</summary>
    /// <param name="dropout">Streams that the body draws from: the second time it gets the same.</param>
    protected Tensor Part(Tensor x, Func<Tensor, Tensor> body, DropoutStream? dropout = null)
    {
        if (!x.Device.Recording) return Discard.AllBut(x.Device, () => body(x));
        if (!Recomputes) return body(x);
        var first = dropout?.Position ?? 0;
        return Recompute.Run(x, h =>
        {
            if (dropout != null) dropout.Position = first;
            return body(h);
        });
    }

    /// <summary>Pictures (N, H, W, 3) to embeddings (N, D), F32, not normalised.</summary>
    public Tensor Forward(Tensor images, DropoutStream? dropout = null) => Ops.Cast(Embed(Stages(images, VisualPass.Colour, dropout)[^1]), DType.F32);
}

/// <summary>The two kinds of pictures that go through one encoder; each has running statistics of its own where the encoder has any.</summary>
public enum VisualPass
{
    /// <summary>Colour pictures: contrast and attribute prediction.</summary>
    Colour = 0,

    /// <summary>Gray pictures: colorization.</summary>
    Gray = 1,

    /// <summary>Both in one launch of each layer: colour pictures, then as many gray ones. The maps are those of two passes, one behind the other.</summary>
    Both = 2,
}
