using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Plip.Bench.Peers;

/// <summary>TorchSharp's AdamW and LibTorch's norm over one flat parameter. LibTorch has no Adan.</summary>
internal static class TorchOptimizers
{
    public static void Register(PeerRegistry peers)
    {
        peers.Add(OptimizerCases.AdamW, LibTorch.Family, "torchsharp adamw", () =>
        {
            var outer = NewDisposeScope();
            var flat = new Parameter(zeros(OptimizerCases.Rows, OptimizerCases.Cols));
            flat.grad = Gradient();
            var adamw = optim.AdamW([flat], OptimizerCases.LearningRate, weight_decay: OptimizerCases.WeightDecay);
            return new Timed(() =>
            {
                using var scope = NewDisposeScope();
                adamw.step();
            }, release: () =>
            {
                adamw.Dispose();
                outer.Dispose();
            });
        });
        peers.Add(OptimizerCases.Norm, LibTorch.Family, "", () =>
        {
            var outer = NewDisposeScope();
            var gradient = Gradient();
            return new Timed(() =>
            {
                using var inference = inference_mode();
                using var scope = NewDisposeScope();
                linalg.vector_norm(gradient).item<float>();
            }, release: outer.Dispose);
        });
    }

    private static Tensor Gradient() => tensor(Noise.Normal((long)OptimizerCases.Rows * OptimizerCases.Cols, 1), OptimizerCases.Rows, OptimizerCases.Cols);
}
