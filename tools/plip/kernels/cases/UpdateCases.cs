using Plip.Engine;

namespace Plip.Tool;

/// <summary>What happens to parameters after a backward; their copy for computing is F32 or BF16.</summary>
internal static class UpdateCases
{
    private const int Rows = 401, Cols = 100; // three blocks of gradient_squares

    public static IEnumerable<KernelCase> All =>
    [
        Update("adamw", store => new AdamW(store)),
        Update("adan", store => new Adan(store)),
        Update("sgd", store => new Sgd(store, nesterov: true, weightDecay: 0.01f)),
    ];

    /// <summary>Two clipped updates, the moving average after each, and the average swapped in.</summary>
    private static KernelCase Update(string name, Func<ParameterStore, Optimizer> make) => new(FormattableString.Invariant($"{name} {Rows}x{Cols}"), i =>
    {
        var store = i.Own(ParameterStore.Materialize(i.Device, new Flat(), seed: 1, computeType: i.Stored));
        var optimizer = i.Own(make(store));
        var average = i.Own(new Ema(store, 0.5f));
        for (var step = 0; step < 2; step++)
        {
            store.Grads.CopyFrom<float>(i.Numbers((int)store.Grads.Count));
            optimizer.Step(0.01f, GradientClip.Measure(store, maxNorm: 1));
            average.Update();
        }
        i.Watch(store.Compute, "parameters as computed with");
        i.Own(average.Swap());
        i.Watch(store.Values, "average");
        return null;
    })
    { Types = [DType.F32, DType.BF16] };

    private sealed class Flat : Module
    {
        public Flat() => Param("weight", new Shape(Rows, Cols), Init.Normal(1));
    }
}
