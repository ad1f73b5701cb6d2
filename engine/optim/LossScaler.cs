namespace Plip.Engine;

// Dynamic loss scaling for F16.                             Micikevicius et al., arXiv:1710.03740
//   loss·S  →  backward  →  gradients·S, which F16 does not lose;  the optimiser takes them over S, and nothing where one is not finite
//   S = 2·S after so many good updates in a row, S/2 after one that overflowed
// Cost: nothing but a product of scalars: the check is the norm's, the division is folded into the optimiser's pass. S lies in memory
// of the device, so that a captured graph is replayed with whatever it then is; powers of two change no digit of a gradient.
/// <summary>The factor on the loss in a training step whose activations are F16; BF16 and F32 need none.</summary>
/// <example><code>
/// scaler.Apply(loss).Backward();
/// var norm = GradientClip.Measure(store, maxNorm: 5, scaler: scaler);
/// optimizer.Step(rate, norm);         // refused on the device where the norm is not finite
/// scaler.Update(norm.IsFinite);       // reads, so it waits
/// </code></example>
public sealed class LossScaler : IDisposable
{
    private const float Least = 1f, Most = 1 << 24;

    private readonly int _growAfter;

    /// <summary>A scaler that belongs to no step.</summary>
    /// <param name="device">Where the losses are.</param>
    /// <param name="scale">The first factor.</param>
    /// <param name="growAfter">Good updates in a row after which it is doubled.</param>
    /// <exception cref="ArgumentException">The factor is not a power of two between 1 and 2²⁴, or the number is not above 0.</exception>
    public LossScaler(Device device, float scale = 65536f, int growAfter = 2000)
    {
        Require(scale, "LossScaler: the loss scale");
        if (growAfter < 1) throw new ArgumentException(FormattableString.Invariant($"LossScaler: good updates until the scale grows must be 1 or more, got {growAfter}"));
        _growAfter = growAfter;
        Factor = FlatState.Zeros(device, new Shape());
        Set(scale, 0);
    }

    /// <summary>The factor.</summary>
    public float Scale { get; private set; }

    /// <summary>Whether it can be lowered: what overflows at 1 is not the scale's doing.</summary>
    public bool CanShrink => Scale > Least;

    /// <summary>Good updates since it last changed.</summary>
    public int GoodUpdates { get; private set; }

    /// <summary>The factor where kernels read it: an F32 scalar.</summary>
    internal Tensor Factor { get; }

    /// <summary>The loss, an F32 scalar, times the factor; its backward gives gradients times the factor.</summary>
    public Tensor Apply(Tensor loss) => Ops.Multiply(loss, Factor);

    /// <summary>Takes note of an update; call it after each, and before the next backward. With a captured graph it stands between replays.</summary>
    /// <param name="finite"><see cref="GradientNorm.IsFinite"/> of the gradients the update was made of.</param>
    /// <returns>Whether the update counts; false: it was refused, and the same batch's successor is tried at half the scale.</returns>
    public bool Update(bool finite)
    {
        if (!finite) Set(Math.Max(Least, Scale / 2), 0);
        else if (GoodUpdates + 1 >= _growAfter) Set(Math.Min(Most, Scale * 2), 0);
        else GoodUpdates++;
        return finite;
    }

    /// <summary>"scale" and "good_updates", to be saved with the optimiser.</summary>
    public StateDict StateDict()
    {
        var state = new StateDict();
        state.Add("scale", StateTensor.Of([Scale], new Shape()));
        state.Add("good_updates", StateTensor.Of([(long)GoodUpdates], new Shape()));
        return state;
    }

    /// <summary>Resumes.</summary>
    /// <exception cref="ArgumentException">The saved scale is none this class makes.</exception>
    public void Load(StateDict state)
    {
        var (scale, good) = (state["scale"].ToF32()[0], state["good_updates"].ToI64()[0]);
        Require(scale, "LossScaler.Load: the saved loss scale");
        Set(scale, (int)Math.Clamp(good, 0, int.MaxValue));
    }

    /// <summary>Returns the memory.</summary>
    public void Dispose() => Factor.Release();

    private void Set(float scale, int good)
    {
        (Scale, GoodUpdates) = (scale, good);
        Factor.CopyFrom<float>([scale]);
    }

    private static void Require(float scale, string what)
    {
        if (!(scale is >= Least and <= Most) || !float.IsPow2(scale))
            throw new ArgumentException(FormattableString.Invariant($"{what} must be a power of two between {Least} and {Most}, got {scale:R}"));
    }
}
