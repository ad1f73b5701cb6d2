namespace Plip.Engine;

/// <summary>Extents of a convolution, as its forward sees them: x (N, H, W, C), w (R, S, C, K), y (N, Ho, Wo, K).</summary>
internal readonly record struct ConvShape(int N, int H, int W, int C, int R, int S, int K, int Stride, int Padding, int Ho, int Wo)
{
    /// <summary>True for 1×1 filters that visit every pixel: a product of matrices.</summary>
    public bool IsPointwise => R == 1 && S == 1 && Stride == 1 && Padding == 0;

    /// <summary>Output pixels of all pictures.</summary>
    public int Pixels => checked(N * Ho * Wo);

    /// <summary>Floating-point operations, the same forward, for the data and for the weights.</summary>
    public double Flops => 2.0 * N * Ho * Wo * K * R * S * C;
}

/// <summary>
/// Along one axis: which filter taps reach the outputs h = phase + i·stride, and from where. Tap r reads position
/// i + (phase + padding − r)/stride; ordered by position, so taps run from the last to the first.
/// </summary>
internal readonly struct PhaseTaps
{
    private readonly int _last, _stride;

    public PhaseTaps(int phase, int stride, int padding, int filter, int extent)
    {
        _stride = stride;
        Outputs = phase < extent ? (extent - phase + stride - 1) / stride : 0;
        var first = (phase + padding) % stride;
        Count = first < filter ? (filter - 1 - first) / stride + 1 : 0;
        _last = first + (Count - 1) * stride;
        First = Count == 0 ? 0 : (phase + padding - _last) / stride;
    }

    public int Outputs { get; }

    public int Count { get; }

    /// <summary>The position that output 0 reads through the first tap; negative in the padding.</summary>
    public int First { get; }

    public int Tap(int t) => _last - t * _stride;
}
