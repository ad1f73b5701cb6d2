using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// NHWC convolutions on the CPU without im2col. In a padded picture the S·C floats under one filter row are contiguous,
/// so an output pixel is R such runs against a packed panel of weights (<see cref="MicroKernels.Rows"/>), and the
/// gradient of the weights is a sum of outer products over pixels (<see cref="MicroKernels.Outer"/>).
/// The data gradient at stride s is s² convolutions of stride 1, one for each phase of the output; a transposed
/// convolution is that same thing run forward.
/// </summary>
internal static unsafe class Convolution
{
    private const int PixelsPerTask = 128;

    // A panel larger than this leaves L1 and crowds L2: take the filter rows one at a time and add.
    private const int PanelBytes = 128 * 1024;

    /// <summary>y (N, Ho, Wo, K) = x (N, H, W, C) ∗ w (R, S, C, K) + bias.</summary>
    public static void Forward(CpuDevice cpu, float* x, ConvShape s, float* w, float* bias, float* y)
    {
        using var padded = new PaddedPictures(cpu, x, s.N, s.H, s.W, s.C, -s.Padding, s.PaddedH, -s.Padding, s.PaddedW);
        using var weights = new PackedB(cpu, false, s.R * s.S * s.C, s.K, w, s.K);
        Slide(cpu, padded, s.Stride, s.R, s.S, weights, bias, s.Ho, s.Wo, s.K, y);
    }

    /// <summary>dx (N, H, W, C) from dy (N, Ho, Wo, K); with a bias, the forward of a transposed convolution.</summary>
    public static void DataGradient(CpuDevice cpu, float* dy, ConvShape s, float* w, float* bias, float* dx)
    {
        var phases = s.Stride;
        for (var ph = 0; ph < phases; ph++)
            for (var pw = 0; pw < phases; pw++)
            {
                var rows = new PhaseTaps(ph, s.Stride, s.Padding, s.R, s.H);
                var cols = new PhaseTaps(pw, s.Stride, s.Padding, s.S, s.W);
                if (rows.Outputs == 0 || cols.Outputs == 0) continue;
                if (phases == 1)
                {
                    Phase(cpu, dy, s, w, bias, rows, cols, dx);
                    continue;
                }
                var part = cpu.Allocate((long)s.N * rows.Outputs * cols.Outputs * s.C * sizeof(float), "Convolution");
                Phase(cpu, dy, s, w, bias, rows, cols, (float*)part.Pointer);
                Interleave(cpu, (float*)part.Pointer, s, ph, pw, rows.Outputs, cols.Outputs, dx);
                part.Release("the phase was written");
            }
    }

    /// <summary>dw (R, S, C, K) from x (N, H, W, C) and dy (N, Ho, Wo, K).</summary>
    public static void WeightGradient(CpuDevice cpu, float* x, ConvShape s, float* dy, float* dw)
    {
        using var padded = new PaddedPictures(cpu, x, s.N, s.H, s.W, s.C, -s.Padding, s.PaddedH, -s.Padding, s.PaddedW);
        var size = (long)s.R * s.S * s.C * s.K;
        var panels = (s.K + MicroKernels.NR - 1) / MicroKernels.NR;
        // Large filters give tasks enough by themselves; small ones are summed over groups of pictures first. Both cuts
        // depend on sizes only.
        var groups = s.R * panels >= 8 || size > 1 << 17 ? 1 : Math.Min(s.N, 16);
        var partial = groups == 1 ? null : cpu.Allocate(size * groups * sizeof(float), "Convolution");
        var sums = groups == 1 ? dw : (float*)partial!.Pointer;
        var xp = padded.At;
        var (hp, wp) = (padded.H, padded.W);
        cpu.For(groups * s.R * panels, task =>
        {
            var (g, r, p) = (task / (s.R * panels), task / panels % s.R, task % panels);
            int j = p * MicroKernels.NR, nj = Math.Min(MicroKernels.NR, s.K - j), run = s.S * s.C;
            var target = sums + g * size + (nint)r * run * s.K + j;
            int from = s.N * g / groups, to = s.N * (g + 1) / groups;
            for (var n = from; n < to; n++)
            {
                var a = xp + ((nint)n * hp + r) * wp * s.C;
                var b = dy + (nint)n * s.Ho * s.Wo * s.K + j;
                for (var m = 0; m < run; m += MicroKernels.MR)
                    MicroKernels.Outer(
                        a + m, (nint)s.Stride * s.C, (nint)s.Stride * wp * s.C, b, s.K, (nint)s.Wo * s.K, s.Ho, s.Wo, nj <= 16,
                        target + (nint)m * s.K, s.K, Math.Min(MicroKernels.MR, run - m), nj, n > from);
            }
        });
        if (partial == null) return;
        cpu.ForRange(size, CpuDevice.Grain, (from, to) =>
        {
            var sum = new Span<float>(dw + from, (int)(to - from));
            new ReadOnlySpan<float>(sums + from, sum.Length).CopyTo(sum);
            for (var g = 1; g < groups; g++) Simd.AddTo(sum, new ReadOnlySpan<float>(sums + g * size + from, sum.Length));
        });
        partial.Release("the groups were summed");
    }

    /// <summary>The convolution proper, over pictures that are padded already.</summary>
    private static void Slide(CpuDevice cpu, PaddedPictures x, int stride, int r, int s, PackedB weights, float* bias, int ho, int wo, int k, float* y)
    {
        long pixels = (long)x.N * ho * wo;
        var run = s * x.C;
        var byRow = r > 1 && (long)r * run * MicroKernels.NR * sizeof(float) > PanelBytes;
        var (xp, hp, wp, c) = ((nint)x.At, x.H, x.W, x.C);
        cpu.ForRange(pixels, PixelsPerTask, (from, to) =>
        {
            var count = (int)(to - from);
            var rows = stackalloc float*[PixelsPerTask + MicroKernels.MR];
            for (var i = 0; i < count; i++)
            {
                var (line, col) = Math.DivRem(from + i, wo);
                var (n, row) = Math.DivRem(line, ho);
                rows[i] = (float*)xp + ((n * hp + row * stride) * wp + col * stride) * c;
            }
            for (var i = 0; i < MicroKernels.MR; i++) rows[count + i] = rows[count - 1];
            for (var p = 0; p < weights.Panels; p++)
            {
                int j = p * MicroKernels.NR, nj = Math.Min(MicroKernels.NR, k - j), width = weights.Width(p);
                var narrow = weights.Narrow(p);
                var panel = weights.Panel(p);
                if (bias != null)
                    for (var i = 0; i < count; i++) new ReadOnlySpan<float>(bias + j, nj).CopyTo(new Span<float>(y + (from + i) * k + j, nj));
                for (var f = 0; f < (byRow ? r : 1); f++)
                {
                    var offset = (nint)f * wp * c;
                    for (var i = 0; i < count; i += MicroKernels.MR)
                    {
                        if (f > 0) Advance(rows + i, offset);
                        MicroKernels.Rows(
                            rows + i, byRow ? 1 : r, (nint)wp * c, run, panel + (nint)f * run * width, narrow,
                            y + (from + i) * k + j, k, Math.Min(MicroKernels.MR, count - i), nj, f > 0 || bias != null);
                        if (f > 0) Advance(rows + i, -offset);
                    }
                }
            }
        });
    }

    private static void Advance(float** rows, nint offset)
    {
        for (var i = 0; i < MicroKernels.MR; i++) rows[i] += offset;
    }

    private static void Phase(CpuDevice cpu, float* dy, ConvShape s, float* w, float* bias, PhaseTaps rows, PhaseTaps cols, float* part)
    {
        if (rows.Count == 0 || cols.Count == 0)
        {
            var pixels = (long)s.N * rows.Outputs * cols.Outputs;
            cpu.ForRange(pixels, Math.Max(1, CpuDevice.Grain / s.C), (from, to) =>
            {
                for (var i = from; i < to; i++)
                {
                    var pixel = new Span<float>(part + i * s.C, s.C);
                    if (bias == null) pixel.Clear();
                    else new ReadOnlySpan<float>(bias, s.C).CopyTo(pixel);
                }
            });
            return;
        }
        using var padded = new PaddedPictures(cpu, dy, s.N, s.Ho, s.Wo, s.K, rows.First, rows.Outputs + rows.Count - 1, cols.First, cols.Outputs + cols.Count - 1);
        using var weights = new PackedB(cpu, rows.Count * cols.Count * s.K, s.C, (panel, j, width, count) =>
        {
            for (var tr = 0; tr < rows.Count; tr++)
                for (var tc = 0; tc < cols.Count; tc++)
                {
                    var filter = w + ((nint)rows.Tap(tr) * s.S + cols.Tap(tc)) * s.C * s.K;
                    TransposeInto(panel + (nint)(tr * cols.Count + tc) * s.K * width, width, filter + (nint)j * s.K, s.K, count);
                }
        });
        Slide(cpu, padded, 1, rows.Count, cols.Count, weights, bias, rows.Outputs, cols.Outputs, s.C, part);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeInto(float* panel, int width, float* filter, int k, int count)
    {
        for (var c = 0; c < width; c++)
        {
            float* d = panel + c, f = filter + (nint)c * k;
            if (c < count)
                for (var i = 0; i < k; i++, d += width) *d = f[i];
            else
                for (var i = 0; i < k; i++, d += width) *d = 0;
        }
    }

    private static void Interleave(CpuDevice cpu, float* part, ConvShape s, int ph, int pw, int rows, int cols, float* dx) =>
        cpu.ForRange((long)s.N * rows, Math.Max(1, CpuDevice.Grain / (cols * s.C)), (from, to) =>
        {
            for (var line = from; line < to; line++)
            {
                var (n, i) = Math.DivRem(line, rows);
                var source = part + line * cols * s.C;
                var target = dx + ((n * s.H + ph + i * s.Stride) * s.W + pw) * s.C;
                for (var j = 0; j < cols; j++, source += s.C, target += (nint)s.Stride * s.C)
                    new ReadOnlySpan<float>(source, s.C).CopyTo(new Span<float>(target, s.C));
            }
        });

    /// <summary>
    /// Along one axis: which filter taps reach the outputs h = phase + i·stride, and from where. Tap r reads position
    /// i + (phase + padding − r)/stride; ordered by position, so taps run from the last to the first.
    /// </summary>
    private readonly struct PhaseTaps
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

    /// <summary>A window on pictures, zero outside them; the pictures themselves where the window is all of them.</summary>
    private sealed class PaddedPictures : IDisposable
    {
        private readonly Storage? _copy;

        /// <param name="top">Row of the source that becomes row 0 (negative: padding above).</param>
        /// <param name="left">The same for columns.</param>
        public PaddedPictures(CpuDevice cpu, float* x, int n, int h, int w, int c, int top, int rows, int left, int cols)
        {
            (N, H, W, C) = (n, rows, cols, c);
            At = x;
            if (top == 0 && left == 0 && rows == h && cols == w) return;
            _copy = cpu.Allocate((long)n * rows * cols * c * sizeof(float), "Convolution");
            var to = At = (float*)_copy.Pointer;
            int begin = Math.Clamp(-left, 0, cols), end = Math.Clamp(w - left, begin, cols);
            cpu.ForRange((long)n * rows, Math.Max(1, CpuDevice.Grain / Math.Max(1, cols * c)), (a, b) =>
            {
                for (var line = a; line < b; line++)
                {
                    var (image, row) = Math.DivRem(line, rows);
                    var source = row + top;
                    var target = new Span<float>(to + line * cols * c, cols * c);
                    if (source < 0 || source >= h)
                    {
                        target.Clear();
                        continue;
                    }
                    target[..(begin * c)].Clear();
                    new ReadOnlySpan<float>(x + ((image * h + source) * w + left + begin) * c, (end - begin) * c).CopyTo(target[(begin * c)..]);
                    target[(end * c)..].Clear();
                }
            });
        }

        public int N { get; }

        public int H { get; }

        public int W { get; }

        public int C { get; }

        public float* At { get; }

        public void Dispose() => _copy?.Release("the convolution was done");
    }
}

/// <summary>Extents of a convolution, as its forward sees them: x (N, H, W, C), w (R, S, C, K), y (N, Ho, Wo, K).</summary>
internal readonly record struct ConvShape(int N, int H, int W, int C, int R, int S, int K, int Stride, int Padding, int Ho, int Wo)
{
    /// <summary>Rows that the filter visits: padding included, a remainder that no output reads left out.</summary>
    public int PaddedH => (Ho - 1) * Stride + R;

    /// <summary>Columns that the filter visits.</summary>
    public int PaddedW => (Wo - 1) * Stride + S;
}
