namespace Plip.Engine;

/// <summary>
/// A minimal filtering algorithm along one axis of a filter of three taps (Winograd; Lavin &amp; Gray, arXiv:1509.09308): outputs
/// from <see cref="Points"/> products instead of outputs · taps. y = Aᵀ[(G w) ⊙ (Bᵀ x)]; every gradient is the same with
/// matrices transposed, so these five maps serve forward, data and filters. Their entries are 0, ±1 and ±½: a result
/// differs from the direct sum by a few roundings. In two dimensions each map is applied along both axes.
/// All lanes of a vector are channels; strides are in floats.
/// </summary>
internal unsafe interface IWinogradAxis
{
    /// <summary>Inputs a tile reads.</summary>
    static abstract int Inputs { get; }

    /// <summary>Inputs from one tile to the next.</summary>
    static abstract int Step { get; }

    /// <summary>Outputs a tile makes.</summary>
    static abstract int Outputs { get; }

    /// <summary>Products.</summary>
    static abstract int Points { get; }

    /// <summary>Transformed taps: several products may share one.</summary>
    static abstract int Kinds { get; }

    /// <summary>Which of the transformed taps a product is with.</summary>
    static abstract int Kind(int point);

    /// <summary>Bᵀ x.</summary>
    static abstract void Input<V>(float* x, nint xs, float* t, nint ts) where V : struct, IVector<V>;

    /// <summary>Aᵀ m.</summary>
    static abstract void Output<V>(float* m, nint ms, float* y, nint ys) where V : struct, IVector<V>;

    /// <summary>G w: taps to kinds.</summary>
    static abstract void Filter<V>(float* w, nint ws, float* u, nint us) where V : struct, IVector<V>;
}

/// <summary>One that gives filters' gradients as well: dw = Gᵀ[(A dy) ⊙ (Bᵀ x)], summed over tiles.</summary>
internal unsafe interface IWinogradGradientAxis : IWinogradAxis
{
    /// <summary>A dy: what each product's gradient is multiplied with.</summary>
    static abstract void OutputGradient<V>(float* dy, nint ys, float* z, nint zs) where V : struct, IVector<V>;

    /// <summary>Gᵀ du: gradients of kinds to gradients of taps.</summary>
    static abstract void FilterGradient<V>(float* du, nint us, float* dw, nint ws) where V : struct, IVector<V>;
}
