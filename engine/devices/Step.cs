namespace Plip.Engine;

/// <summary>
/// The owner of a step's memory and of its tape. <c>using var step = device.BeginStep();</c>: what is made inside
/// returns to the pool when the step ends, in a fixed order, so the next step gets the same addresses.
/// </summary>
public sealed class Step : IDisposable
{
    private readonly Device _device;
    private readonly List<Storage?> _owned;
    private bool _ended;

    internal Step(Device device, bool recordGradients)
    {
        _device = device;
        Outer = device.CurrentStep;
        RecordsGradients = recordGradients;
        device.CurrentStep = this;
        (_owned, var nodes) = device.SpareLists ?? ([], []);
        device.SpareLists = null;
        Tape = new Tape(nodes);
    }

    /// <summary>The step around this one, or null.</summary>
    internal Step? Outer { get; }

    /// <summary>Set when an op had an input that needs a gradient, recorded or not.</summary>
    internal bool MetGradients { get; set; }

    /// <summary>The ops recorded in this step, in order.</summary>
    public Tape Tape { get; }

    /// <summary>Whether ops are recorded; see <see cref="NoGrad"/>.</summary>
    public bool RecordsGradients { get; private set; }

    /// <summary>Stops recording until the returned scope is disposed.</summary>
    public NoGradScope NoGrad() => new(this);

    /// <summary>Ends the step: all its tensors go back to the pool; one used afterwards throws and names the op that made it.</summary>
    public void Dispose()
    {
        if (_ended) return;
        if (_device.CurrentStep != this)
            throw new InvalidOperationException("steps must end in the reverse order of their beginning: an inner step is still open");
        _ended = true;
        // Latest first: the pool hands blocks out last-in first-out, so the next step sees the same addresses again.
        for (var i = _owned.Count - 1; i >= 0; i--) _owned[i]?.Free("its step ended");
        _owned.Clear();
        _device.SpareLists = (_owned, Tape.End());
        _device.CurrentStep = Outer;
    }

    internal void Own(Storage storage)
    {
        storage.StepIndex = _owned.Count;
        _owned.Add(storage);
    }

    internal void Forget(Storage storage)
    {
        if (!_ended) _owned[storage.StepIndex] = null;
    }

    /// <summary>A span of code whose ops are not recorded.</summary>
    public readonly struct NoGradScope : IDisposable
    {
        private readonly Step _step;
        private readonly bool _before;

        internal NoGradScope(Step step)
        {
            _step = step;
            _before = step.RecordsGradients;
            step.RecordsGradients = false;
        }

        /// <summary>Resumes recording if it was on before.</summary>
        public void Dispose() => _step.RecordsGradients = _before;
    }
}
