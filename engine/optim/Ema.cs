using System.Runtime.CompilerServices;

namespace Plip.Engine;

// Exponential moving average of the parameters.
//   a = a + (1−δ)(p − a),  δ = min(decay, (1+t)/(10+t)): the first average is not the random start
// Cost: one pass, 12 bytes an element; a swap is one pass of 16, and one of 6 where there is a BF16 or F16 copy to be made anew.
/// <summary>
/// An average of a store's trainable parameters, to evaluate with and to save. Buffers (batch-norm statistics) are
/// averages already and are not averaged again.
/// </summary>
public sealed class Ema : IDisposable
{
    private readonly ParameterStore _store;
    private readonly Tensor _average, _weight, _refused;
    private readonly float _decay;
    private long _prepared;
    private bool _swapped, _mayRefuse;

    /// <summary>An average that starts from the parameters as they are now.</summary>
    /// <exception cref="ArgumentException">The decay lies outside [0, 1).</exception>
    public Ema(ParameterStore store, float decay = 0.9999f)
    {
        if (decay is not (>= 0 and < 1)) throw new ArgumentException(FormattableString.Invariant($"Ema: the decay must lie in [0, 1), got {decay:R}"));
        (_store, _decay) = (store, decay);
        _average = FlatState.Zeros(store);
        _weight = FlatState.Zeros(store, new Shape(1));
        _refused = FlatState.Zeros(store, new Shape(1), DType.I32);
        store.Device.Copy(store.Values.Address, _average.Address, _average.Bytes);
    }

    /// <summary>
    /// Updates so far. One that was refused, for the gradient was not finite, is none: the device counts those where it refuses, and reading
    /// this waits for it.
    /// </summary>
    public long StepCount => _prepared - (_mayRefuse ? _refused.ToArray<int>()[0] : 0);

    /// <summary>Takes the parameters into the average; call it after each update.</summary>
    /// <exception cref="InvalidOperationException">The average is swapped in.</exception>
    public void Update()
    {
        Prepare();
        Apply();
    }

    /// <summary>
    /// The first half of <see cref="Update"/>: counts it and writes the newest parameters' weight to the device. With a captured graph it is
    /// called before each replay, and <see cref="Apply"/> is in the graph.
    /// </summary>
    /// <exception cref="InvalidOperationException">The average is swapped in.</exception>
    public void Prepare()
    {
        RequireOwn(nameof(Prepare));
        var weight = 1 - Math.Min(_decay, (1.0 + StepCount) / (10.0 + StepCount));
        _prepared++;
        _weight.CopyFrom<float>([(float)weight]);
    }

    /// <summary>The second half: the pass over the average.</summary>
    /// <param name="norm">
    /// What the optimiser was given (<see cref="Optimizer.Apply"/>): where it refused the update, the average is left alone too. Null for none.
    /// </param>
    /// <exception cref="InvalidOperationException">The average is swapped in.</exception>
    public void Apply(GradientNorm? norm = null)
    {
        RequireOwn(nameof(Apply));
        _mayRefuse |= norm != null;
        _store.Device.Run(DType.F32, new EmaKernel(_average, _refused, _store.Values, _weight, norm?.Result));
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
        RequireOwn(nameof(StateDict));
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
        _prepared = state["step"].ToI64()[0];
        _refused.CopyFrom<int>([0]);
    }

    /// <summary>Returns the memory, after swapping back if need be.</summary>
    public void Dispose()
    {
        if (_swapped) Exchange();
        _average.Release();
        _weight.Release();
        _refused.Release();
    }

    private void RequireOwn(string method)
    {
        if (_swapped) throw new InvalidOperationException($"Ema.{method} while the average is swapped in: dispose the scope of Swap() first");
    }

    private void Exchange()
    {
        _store.Device.Run(DType.F32, new ExchangeKernel(_average, _store.Values));
        _store.RefreshCompute();
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

file readonly unsafe struct EmaKernel(Tensor average, Tensor refused, Tensor values, Tensor weight, Tensor? norm) : IKernel
{
    public Work Work => Work.On("ema", 3, average, average, values);

    public void Run(CudaDevice gpu, DType type) =>
        gpu.Launch("ema", "ema", [], Launch.PerElement(average.Count, 4), average, refused, values, weight, norm, average.Count);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (norm == null || norm.F32[3] != 0) cpu.Loop<V, Body>(average.Count, new(average.F32, values.F32, *weight.F32));
        else ++*refused.I32;
    }

    private readonly struct Body(float* a, float* p, float weight) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var old = V.Load(a + i);
            V.Fma(V.Load(p + i) - old, V.Create(weight), old).Store(a + i);
        }
    }
}

file readonly unsafe struct ExchangeKernel(Tensor average, Tensor values) : IKernel
{
    public Work Work => Work.On("exchange", 0, average, average, values, values);

    public void Run(CudaDevice gpu, DType type) =>
        gpu.Launch("ema", "exchange", [], Launch.PerElement(average.Count, 4), average, values, average.Count);

    public void Run<V, T>(CpuDevice cpu)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T> => cpu.Loop<V, Body>(average.Count, new(average.F32, values.F32));

    private readonly struct Body(float* a, float* p) : ILoop
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void At<V>(long i) where V : struct, IVector<V>
        {
            var (average, value) = (V.Load(a + i), V.Load(p + i));
            value.Store(a + i);
            average.Store(p + i);
        }
    }
}
