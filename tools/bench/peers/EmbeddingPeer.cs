using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Bench.Peers;

/// <summary>Embedding with the twin: inference mode, batch norm folded into the convolutions.</summary>
internal static class EmbeddingPeer
{
    public static Timed Pictures(ModelSpec spec, TorchLayout layout)
    {
        var outer = NewDisposeScope();
        var config = spec.Load();
        var state = new TorchState(config, layout, training: false);
        var visual = new TorchResNet(state, (ModifiedResNetConfig)config.Visual, layout, training: false);
        var images = layout.Picture(SyntheticBatch.For(config, spec.Batch).Images, spec.Batch, config.Image.Height, config.Image.Width, 3);
        return Make(outer, () => visual.Embed(visual.Stages(images)[3]));
    }

    public static Timed Texts(ModelSpec spec)
    {
        var outer = NewDisposeScope();
        var config = spec.Load();
        var batch = SyntheticBatch.For(config, spec.Batch);
        var textual = new TorchBert(new TorchState(config, TorchLayout.Both[1], training: false), config.Text, training: false);
        var text = new PaddedText(batch.Ids, batch.Offsets);
        return Make(outer, () => TorchBert.Pool(textual.Hidden(text), text));
    }

    private static Timed Make(DisposeScope outer, Func<Tensor> embed)
    {
        float[] Run()
        {
            using var inference = inference_mode();
            using var scope = NewDisposeScope();
            return functional.normalize(embed(), dim: 1).data<float>().ToArray();
        }
        return new Timed(() => Run(), release: outer.Dispose, facts: () => [new("roughness of the embeddings", EmbeddingCases.Roughness(Run()), 0)]);
    }
}
