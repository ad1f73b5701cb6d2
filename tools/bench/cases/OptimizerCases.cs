using Plip.Engine;

namespace Plip.Bench;

/// <summary>Passes over flat buffers of 25 million parameters, about ResNet-50's.</summary>
internal static class OptimizerCases
{
    public const int Rows = 24576, Cols = 1024;
    public const string AdamW = "adamw 25165824", Adan = "adan 25165824", Norm = "gradient_norm 25165824";
    public const float LearningRate = 1e-4f, WeightDecay = 0.02f;

    private const double Elements = (double)Rows * Cols;

    public static IEnumerable<BenchCase> All =>
    [
        Step(AdamW, 28, store => new AdamW(store, weightDecay: WeightDecay)),
        Step(Adan, 44, store => new Adan(store, weightDecay: WeightDecay)),
        new("fused", Norm, 0, 4 * Elements, device =>
        {
            var store = Store(device);
            return new Timed(() => GradientClip.Measure(store), release: store.Dispose);
        }),
    ];

    private static BenchCase Step(string name, double bytesAnElement, Func<ParameterStore, Optimizer> make) =>
        new("fused", name, 0, bytesAnElement * Elements, device =>
        {
            var store = Store(device);
            var optimizer = make(store);
            return new Timed(() => optimizer.Step(LearningRate), release: () =>
            {
                optimizer.Dispose();
                store.Dispose();
            });
        });

    private static ParameterStore Store(Device device)
    {
        var store = ParameterStore.Materialize(device, new Flat(), seed: 1);
        store.Grads.CopyFrom<float>(Noise.Normal(store.Grads.Count, 1));
        return store;
    }

    private sealed class Flat : Module
    {
        public Flat() => Param("weight", new Shape(Rows, Cols), Init.Zeros);
    }
}
