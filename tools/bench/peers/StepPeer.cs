using TorchSharp;
using static TorchSharp.torch;

namespace Plip.Bench.Peers;

/// <summary>
/// A training step of the twin: the same initial weights and batch as ours, TorchSharp's AdamW. It leaves out the gradient's
/// norm, which ours measures in every step to stop a run that diverges.
/// </summary>
internal static class StepPeer
{
    public static Timed Make(ModelSpec spec, TorchLayout layout)
    {
        var outer = NewDisposeScope();
        var config = spec.Load();
        var state = new TorchState(config, layout, training: true);
        var twin = new TorchPlip(state, config, layout);
        var batch = new TorchBatch(SyntheticBatch.For(config, spec.Batch), config, layout);
        var adamw = optim.AdamW(state.Trained, ModelSpec.LearningRate, weight_decay: config.Training.WeightDecay);
        Fact[] Step()
        {
            using var scope = NewDisposeScope();
            adamw.zero_grad();
            var (ivlc, tic, iap, total) = twin.Losses(batch);
            total.backward();
            adamw.step();
            // Read as the trainer reads them, for its log.
            return [new("loss ivlc", ivlc.item<float>(), 0), new("loss tic", tic.item<float>(), 0), new("loss iap", iap.item<float>(), 0)];
        }
        return new Timed(() => Step(), release: () =>
        {
            adamw.Dispose();
            outer.Dispose();
        }, facts: () => [new("parameters", state.Count, 0), new("trained parameters", state.Trained.Sum(p => p.numel()), 0), .. Step()]);
    }
}
