namespace Plip.Engine;

/// <summary>A learning rate as a function of the step alone, so that resuming needs nothing but the step.</summary>
public interface ILearningRate
{
    /// <summary>The rate of update number <paramref name="step"/>, the first being 0.</summary>
    float At(long step);
}

/// <summary>The same rate always.</summary>
public sealed record ConstantRate(float Rate) : ILearningRate
{
    /// <inheritdoc/>
    public float At(long step) => Rate;
}

/// <summary>
/// Rises linearly over the first steps to what <paramref name="Then"/> says, which it multiplies by (step + 1)/steps: the
/// milestones of the inner schedule keep counting from 0.
/// </summary>
/// <param name="Steps">Length of the rise; 0 for none.</param>
/// <param name="Then">The schedule from there on.</param>
public sealed record LinearWarmup(long Steps, ILearningRate Then) : ILearningRate
{
    /// <inheritdoc/>
    public float At(long step) => step + 1 >= Steps ? Then.At(step) : (float)(Then.At(step) * ((step + 1) / (double)Steps));
}

/// <summary>Multiplies the rate by a factor at each milestone: PLIP's schedule is ×0.1 at epochs 30 and 50.</summary>
/// <param name="Rate">Before the first milestone.</param>
/// <param name="Milestones">Steps, ascending.</param>
/// <param name="Factor">At each of them.</param>
public sealed record MultiStep(float Rate, IReadOnlyList<long> Milestones, float Factor = 0.1f) : ILearningRate
{
    /// <inheritdoc/>
    public float At(long step) => (float)(Rate * Math.Pow(Factor, Milestones.Count(m => step >= m)));
}

/// <summary>Half a cosine from <paramref name="Rate"/> to <paramref name="Least"/> (Loshchilov and Hutter, arXiv:1608.03983).</summary>
/// <param name="Rate">Until <paramref name="Start"/>.</param>
/// <param name="End">The step from which the rate is the least.</param>
/// <param name="Start">The step at which the fall begins, such as the end of a warm-up.</param>
/// <param name="Least">The last rate.</param>
public sealed record Cosine(float Rate, long End, long Start = 0, float Least = 0f) : ILearningRate
{
    /// <inheritdoc/>
    public float At(long step)
    {
        if (step >= End) return Least;
        if (step <= Start) return Rate;
        return (float)(Least + (Rate - (double)Least) * 0.5 * (1 + Math.Cos(Math.PI * (step - Start) / (End - Start))));
    }
}
