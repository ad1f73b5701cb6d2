using Plip.Engine;

namespace Plip.Tool;

/// <summary>What happens to parameters after a backward; their copy for computing is F32, BF16 or F16.</summary>
internal static class UpdateCases
{
    private const int Rows = 401, Cols = 100; // three blocks of gradient_squares

    public static IEnumerable<KernelCase> All =>
    [
        Update("adamw", store => new AdamW(store)),
        Update("adan", store => new Adan(store)),
        Update("sgd", store => new Sgd(store, nesterov: true, weightDecay: 0.01f)),
    ];

    /// <summary>Two clipped updates of a scaled loss and one that is refused between them, the moving average after each, and the average swapped in.</summary>
    private static KernelCase Update(string name, Func<ParameterStore, Optimizer> make) => new(FormattableString.Invariant($"{name} {Rows}x{Cols}"), i =>
    {
        var store = i.Own(ParameterStore.Materialize(i.Device, new Flat(), seed: 1, computeType: i.Stored));
        var optimizer = i.Own(make(store));
        var average = i.Own(new Ema(store, 0.5f));
        var scaler = i.Own(new LossScaler(i.Device, 8));
        for (var step = 0; step < 3; step++)
        {
            var gradients = i.Numbers((int)store.Grads.Count);
            if (step == 1) gradients[^1] = float.PositiveInfinity;
            store.Grads.CopyFrom<float>(gradients);
            var norm = GradientClip.Measure(store, maxNorm: 1, scaler: scaler);
            optimizer.Step(0.01f, norm);
            if (scaler.Update(norm.IsFinite)) average.Update();
        }
        i.Watch(store.Compute, "parameters as computed with");
        i.Own(average.Swap());
        i.Watch(store.Values, "average");
        return null;
    });

    private sealed class Flat : Module
    {
        public Flat() => Param("weight", new Shape(Rows, Cols), Init.Normal(1));
    }
}
