namespace Plip.Engine;

/// <summary>
/// Batch normalisation over all axes but the last. Parameters weight and bias, buffers running_mean, running_var and
/// num_batches_tracked, as in PyTorch.
/// </summary>
/// <remarks>
/// Pictures of another kind (gray ones beside coloured) must not mix their statistics with these, or evaluation suffers
/// although the training loss is the same. Such a kind gets running statistics of its own: sets 1, 2, … with buffers
/// running_mean_1, running_var_1, …; weight and bias are shared.
/// </remarks>
public sealed class BatchNorm2d : Module
{
    private readonly StateBuffer[] _means, _variances;
    private readonly StateBuffer _tracked;
    private readonly float _momentum, _eps;

    /// <summary>For (…, <paramref name="channels"/>).</summary>
    /// <param name="start">Initial weight: 0 lets a residual branch start as nothing.</param>
    /// <param name="sets">How many sets of running statistics.</param>
    /// <param name="momentum">Weight of the newest batch in the running statistics.</param>
    /// <param name="eps">Added to the variance.</param>
    public BatchNorm2d(int channels, float start = 1f, int sets = 1, float momentum = 0.1f, float eps = 1e-5f)
    {
        (_momentum, _eps) = (momentum, eps);
        var shape = new Shape(channels);
        Weight = Param("weight", shape, Init.Constant(start));
        Bias = Param("bias", shape, Init.Zeros);
        (_means, _variances) = (new StateBuffer[sets], new StateBuffer[sets]);
        for (var s = 0; s < sets; s++)
        {
            var suffix = s == 0 ? "" : FormattableString.Invariant($"_{s}");
            _means[s] = Buffer("running_mean" + suffix, shape, 0f);
            _variances[s] = Buffer("running_var" + suffix, shape, 1f);
        }
        _tracked = Counter("num_batches_tracked");
    }

    /// <summary>γ (C).</summary>
    public Parameter Weight { get; }

    /// <summary>β (C).</summary>
    public Parameter Bias { get; }

    /// <summary>y = γ(x−μ)/√(σ²+ε) + β, then + residual and max(0, ·) where asked: one pass.</summary>
    /// <param name="x">(…, C).</param>
    /// <param name="relu">Clamp at zero.</param>
    /// <param name="residual">Added before the clamp; x's shape.</param>
    /// <param name="statistics">The set of running statistics.</param>
    public Tensor Forward(Tensor x, bool relu = false, Tensor? residual = null, int statistics = 0) =>
        Forward(x, new StatisticsSets(statistics, 1), relu, residual);

    /// <summary>The same of several kinds of input at once, each normalised by itself and tracked in its own set.</summary>
    /// <param name="x">(G·N, …, C): the inputs of the first set, then those of the next.</param>
    /// <param name="sets">Which sets of running statistics.</param>
    /// <param name="relu">Clamp at zero.</param>
    /// <param name="residual">Added before the clamp; x's shape.</param>
    /// <exception cref="ArgumentException">A set is missing, or they do not divide x's first axis.</exception>
    public Tensor Forward(Tensor x, StatisticsSets sets, bool relu = false, Tensor? residual = null) =>
        Ops.BatchNorm(x, Weight.Value, Bias.Value, Running(sets), Training, updateRunning: true, _momentum, _eps, relu, residual);

    /// <summary>The same of a convolution's result, in a pass less where the device has one.</summary>
    /// <param name="convolution">What comes before.</param>
    /// <param name="x">Its pictures (G·N, H, W, C).</param>
    /// <param name="sets">Which sets of running statistics.</param>
    /// <param name="relu">Clamp at zero.</param>
    /// <param name="residual">Added before the clamp; the result's shape.</param>
    /// <exception cref="ArgumentException">A set is missing, or they do not divide the pictures.</exception>
    public Tensor Forward(Conv2d convolution, Tensor x, StatisticsSets sets, bool relu = false, Tensor? residual = null)
    {
        if (convolution.Bias != null) return Forward(convolution.Forward(x), sets, relu, residual);
        var weight = convolution.Weight.Compute;
        return Ops.Conv2dBatchNorm(
            Ops.Cast(x, weight.DType), weight, Weight.Value, Bias.Value, Running(sets), Training, convolution.Stride, convolution.Padding,
            updateRunning: true, _momentum, _eps, relu, residual);
    }

    private RunningStatistics[] Running(StatisticsSets sets)
    {
        if (sets.First < 0 || sets.Count < 1 || sets.First + sets.Count > _means.Length)
            throw new ArgumentException($"{NameOf("running_mean")}: sets {sets.First} to {sets.First + sets.Count - 1} of running statistics were asked for, and there are {_means.Length}");
        var running = new RunningStatistics[sets.Count];
        for (var g = 0; g < sets.Count; g++)
        {
            var s = sets.First + g;
            running[g] = new RunningStatistics(_means[s].Value, _variances[s].Value, s == 0 ? _tracked.Value : null);
        }
        return running;
    }
}

/// <summary>Which sets of running statistics an input goes by: as many equal parts of its first axis as sets.</summary>
/// <param name="First">The first part's.</param>
/// <param name="Count">How many, one behind the other.</param>
public readonly record struct StatisticsSets(int First, int Count);
