using System.Runtime.Intrinsics;

namespace Plip.Engine;

// Exponential moving average of the parameters.
//   a = a + (1−δ)(p − a),  δ = min(decay, (1+t)/(10+t)): the first average is not the random start
// Cost: one pass, 12 bytes an element; a swap is one pass of 16.
/// <summary>
/// An average of a store's trainable parameters, to evaluate with and to save. Buffers (batch-norm statistics) are
/// averages already and are not averaged again.
/// </summary>
public sealed class Ema : IDisposable
{
    private readonly ParameterStore _store;
    private readonly Tensor _average;
    private readonly float _decay;
    private bool _swapped;

    /// <summary>An average that starts from the parameters as they are now.</summary>
    /// <exception cref="ArgumentException">The decay lies outside [0, 1).</exception>
    public Ema(ParameterStore store, float decay = 0.9999f)
    {
        if (decay is not (>= 0 and < 1)) throw new ArgumentException(FormattableString.Invariant($"Ema: the decay must lie in [0, 1), got {decay:R}"));
        (_store, _decay) = (store, decay);
        _average = FlatState.Zeros(store);
        store.Device.Copy(store.Values.Address, _average.Address, _average.Bytes);
    }

    /// <summary>Updates so far.</summary>
    public long StepCount { get; private set; }

    /// <summary>Takes the parameters into the average; call it after each update.</summary>
    /// <exception cref="InvalidOperationException">The average is swapped in.</exception>
    public void Update()
    {
        if (_swapped) throw new InvalidOperationException("Ema.Update while the average is swapped in: dispose the scope of Swap() first");
        var weight = 1 - Math.Min(_decay, (1.0 + StepCount) / (10.0 + StepCount));
        StepCount++;
        _store.Device.Run(cpu: cpu => EmaCpu.Update(cpu, _average, _store.Values, (float)weight));
    }

    /// <summary>Puts the average in the parameters' place until the returned scope is disposed: <c>using (ema.Swap()) Evaluate();</c></summary>
    /// <exception cref="InvalidOperationException">It is swapped in already.</exception>
    public SwapScope Swap()
    {
        if (_swapped) throw new InvalidOperationException("Ema.Swap: the average is swapped in already");
        Exchange();
        return new SwapScope(this);
    }

    /// <summary>The average by parameter names, in PyTorch's layout, and "step". Read before the next update.</summary>
    /// <exception cref="InvalidOperationException">The average is swapped in.</exception>
    public StateDict StateDict()
    {
        if (_swapped) throw new InvalidOperationException("Ema.StateDict while the average is swapped in: dispose the scope of Swap() first");
        var state = new StateDict();
        state.Add("step", StateTensor.Of([StepCount], new Shape()));
        FlatState.Save(state, _store, _average);
        return state;
    }

    /// <summary>Resumes from a state over the same trainable parameters.</summary>
    /// <exception cref="StateMismatchException">Names or shapes differ; nothing was changed.</exception>
    public void Load(StateDict state)
    {
        FlatState.Compare(state, _store, "");
        FlatState.Load(state, _store, _average);
        StepCount = state["step"].ToI64()[0];
    }

    /// <summary>Returns the memory, after swapping back if need be.</summary>
    public void Dispose()
    {
        if (_swapped) Exchange();
        _average.Release();
    }

    private void Exchange()
    {
        _store.Device.Run(cpu: cpu => EmaCpu.Exchange(cpu, _average, _store.Values));
        _swapped = !_swapped;
    }

    /// <summary>The time during which the parameters hold the average.</summary>
    public readonly struct SwapScope : IDisposable
    {
        private readonly Ema _ema;

        internal SwapScope(Ema ema) => _ema = ema;

        /// <summary>Puts the trained parameters back.</summary>
        public void Dispose()
        {
            if (_ema._swapped) _ema.Exchange();
        }
    }
}

file static unsafe class EmaCpu
{
    public static void Update(CpuDevice cpu, Tensor average, Tensor values, float weight)
    {
        float* a = average.F32, p = values.F32;
        cpu.ForRange(average.Count, CpuDevice.Grain, (from, to) =>
        {
            for (var i = from; i < to; i += 16)
            {
                var old = Vector512.Load(a + i);
                (old + (Vector512.Load(p + i) - old) * weight).Store(a + i);
            }
        });
    }

    public static void Exchange(CpuDevice cpu, Tensor average, Tensor values)
    {
        float* a = average.F32, p = values.F32;
        cpu.ForRange(average.Count, CpuDevice.Grain, (from, to) =>
        {
            for (var i = from; i < to; i += 16)
            {
                var (x, y) = (Vector512.Load(a + i), Vector512.Load(p + i));
                y.Store(a + i);
                x.Store(p + i);
            }
        });
    }
}
