using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Updates a store's trainable parameters from their gradients, in one pass over each group's range of the flat buffers.
/// Its state is one flat F32 buffer for each moment and a count of steps.
/// </summary>
public abstract class Optimizer : IDisposable
{
    private const int Slots = 12; // floats for a range's constants: more than any rule has

    private readonly string[] _names;
    private readonly float[] _constants;
    private readonly Tensor _deviceConstants, _refused;
    private readonly Tensor[] _moments;
    private readonly float _weightDecay;
    private long _prepared;
    private bool _mayRefuse;

    /// <summary>An optimiser with zeroed moments of these names.</summary>
    /// <param name="weightDecay">For groups that name none.</param>
    /// <exception cref="InvalidOperationException">Nothing in the store is trainable.</exception>
    private protected Optimizer(ParameterStore store, float weightDecay, params string[] moments)
    {
        Require(weightDecay >= 0 && float.IsFinite(weightDecay), $"weight decay must be 0 or more, got {weightDecay:R}");
        (Store, _weightDecay, _names) = (store, weightDecay, moments);
        _ = store.Grads;
        _moments = Array.ConvertAll(moments, _ => FlatState.Zeros(store));
        _constants = new float[store.Ranges.Count * Slots];
        _deviceConstants = FlatState.Zeros(store, new Shape(_constants.Length));
        _refused = FlatState.Zeros(store, new Shape(1), DType.I32);
    }

    /// <summary>What it updates.</summary>
    public ParameterStore Store { get; }

    /// <summary>
    /// Updates made so far. One that was refused, for its gradient was not finite, is none: the device counts those where it refuses, and
    /// reading this waits for it.
    /// </summary>
    public long StepCount => _prepared - (_mayRefuse ? _refused.ToArray<int>()[0] : 0);

    /// <summary>The number of the update that is being prepared, from 1.</summary>
    private protected long Number { get; private set; }

    /// <summary>Bytes of the moments.</summary>
    public long StateBytes => _moments.Sum(m => m.Bytes);

    /// <summary>One update. Gradients are left as they are; <see cref="ParameterStore.ZeroGrad"/> clears them.</summary>
    /// <param name="learningRate">From the schedule; each group multiplies it by its <see cref="ParameterGroup.LrScale"/>.</param>
    /// <param name="gradScale">
    /// Factor on the gradient, folded into the pass: <see cref="GradientNorm.Scale"/>, one over a loss scale, one over a
    /// number of accumulated batches.
    /// </param>
    /// <exception cref="ArgumentException">A rate that is negative or not finite.</exception>
    public void Step(float learningRate, float gradScale = 1f)
    {
        Prepare(learningRate, gradScale);
        Apply();
    }

    /// <summary>
    /// One update with the clipping that was measured, which need not be read: on a GPU it never leaves the device. Where the norm is
    /// not finite nothing is changed: weights, moments and <see cref="StepCount"/> are as if the update had not been asked for.
    /// </summary>
    /// <param name="learningRate">From the schedule; each group multiplies it by its <see cref="ParameterGroup.LrScale"/>.</param>
    /// <param name="norm">The latest <see cref="GradientClip.Measure"/> of this store.</param>
    /// <exception cref="ArgumentException">A rate that is negative or not finite.</exception>
    public void Step(float learningRate, GradientNorm norm)
    {
        Prepare(learningRate);
        Apply(norm);
    }

    /// <summary>
    /// The first half of <see cref="Step(float, float)"/>: counts the update and writes what changes from one to the next to the device.
    /// With a captured graph it is called before each replay, and <see cref="Apply"/> is in the graph. Bias corrections want to know how
    /// many updates were refused before: four bytes are read from the device, once <see cref="Apply"/> was given a norm.
    /// </summary>
    /// <param name="learningRate">From the schedule.</param>
    /// <param name="gradScale">Factor on the gradient.</param>
    /// <exception cref="ArgumentException">A rate that is negative or not finite, or a factor that is not finite.</exception>
    public void Prepare(float learningRate, float gradScale = 1f)
    {
        Require(learningRate >= 0 && float.IsFinite(learningRate), $"the learning rate must be 0 or more, got {learningRate:R}");
        Require(float.IsFinite(gradScale), $"the gradient's factor must be finite, got {gradScale:R}; skip the update when GradientNorm.IsFinite is false");
        Number = StepCount + 1;
        _prepared++;
        for (var i = 0; i < Store.Ranges.Count; i++)
        {
            var group = Store.Ranges[i].Group;
            Prepare(_constants.AsSpan(i * Slots, Slots), learningRate * group.LrScale, group.WeightDecay ?? _weightDecay, gradScale);
        }
        _deviceConstants.CopyFrom<float>(_constants);
    }

    /// <summary>The second half: the passes over the parameters, with what <see cref="Prepare(float, float)"/> wrote.</summary>
    /// <param name="norm">The latest <see cref="GradientClip.Measure"/> of this store, or null.</param>
    public void Apply(GradientNorm? norm = null)
    {
        _mayRefuse |= norm != null;
        for (var i = 0; i < Store.Ranges.Count; i++)
            Update(new FlatUpdate(Store.Ranges[i], _deviceConstants, i * Slots, norm?.Result, i == 0 ? _refused : null));
    }

    /// <summary>The moments by name ("exp_avg.layer1.0.conv1.weight", PyTorch's layout) and "step". Read before the next update.</summary>
    public StateDict StateDict()
    {
        var state = new StateDict();
        state.Add("step", StateTensor.Of([StepCount], new Shape()));
        for (var i = 0; i < _moments.Length; i++) FlatState.Save(state, Store, _moments[i], _names[i] + ".");
        return state;
    }

    /// <summary>Resumes from a state of the same kind of optimiser over the same trainable parameters.</summary>
    /// <exception cref="StateMismatchException">Names or shapes differ; nothing was changed.</exception>
    public void Load(StateDict state)
    {
        FlatState.Compare(state, Store, Array.ConvertAll(_names, n => n + "."));
        for (var i = 0; i < _moments.Length; i++) FlatState.Load(state, Store, _moments[i], _names[i] + ".");
        _prepared = state["step"].ToI64()[0];
        _refused.CopyFrom<int>([0]);
    }

    /// <summary>Returns the moments' memory.</summary>
    public void Dispose()
    {
        foreach (var m in _moments) m.Release();
        _deviceConstants.Release();
        _refused.Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Writes the rule's numbers for this update of a group.</summary>
    private protected abstract void Prepare(Span<float> constants, float rate, float weightDecay, float gradScale);

    /// <summary>The pass over one range. Offset and count are multiples of 16, so there are no tails.</summary>
    private protected abstract void Update(in FlatUpdate update);

    /// <summary>A structure of floats, as the kernels read it.</summary>
    private protected static void Write<T>(Span<float> constants, in T values) where T : unmanaged =>
        MemoryMarshal.Write(MemoryMarshal.AsBytes(constants), in values);

    private protected Tensor Moment(int index) => _moments[index];

    private protected static void Require(bool condition, FormattableString expected)
    {
        if (!condition) throw new ArgumentException(FormattableString.Invariant(expected));
    }

    /// <summary>A decay rate β in [0, 1).</summary>
    private protected static float Beta(float value, string name)
    {
        Require(value is >= 0 and < 1, $"{name} must lie in [0, 1), got {value:R}");
        return value;
    }

    /// <summary>ε above 0: the gaps between parameters have zero moments, and 0/0 would fill them with NaN.</summary>
    private protected static float Epsilon(float value)
    {
        Require(value > 0 && float.IsFinite(value), $"eps must be above 0, got {value:R}");
        return value;
    }
}
