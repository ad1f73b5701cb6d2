namespace Plip.Engine;

/// <summary>
/// NHWC convolutions on the CPU without im2col, summed in F32. In a padded picture the S·C floats under one filter row are
/// contiguous, so an output pixel is R such runs against a packed panel of weights (<see cref="MicroKernels.Rows{V}"/>), and
/// the gradient of the weights is a sum of outer products over pixels (<see cref="MicroKernels.Outer{V}"/>).
/// The data gradient at stride s is s² convolutions of stride 1, one for each phase of the output; a transposed
/// convolution is that same thing run forward. 1×1 filters at stride 1 are plain products.
/// </summary>
internal static unsafe class Convolution
{
    /// <summary>y (N, Ho, Wo, K) = x (N, H, W, C) ∗ w (R, S, C, K) + bias.</summary>
    public static void Forward<V, T>(CpuDevice cpu, T* x, ConvShape s, T* w, float* bias, T* y)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (Wastes<V>(s.K)) Convolution<Vec256, T>.Forward(cpu, x, s, w, bias, y);
        else Convolution<V, T>.Forward(cpu, x, s, w, bias, y);
    }

    /// <summary>dx (N, H, W, C) from dy (N, Ho, Wo, K); with a bias, the forward of a transposed convolution.</summary>
    public static void DataGradient<V, T>(CpuDevice cpu, T* dy, ConvShape s, T* w, float* bias, T* dx)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (Wastes<V>(s.C)) Convolution<Vec256, T>.DataGradient(cpu, dy, s, w, bias, dx);
        else Convolution<V, T>.DataGradient(cpu, dy, s, w, bias, dx);
    }

    /// <summary>dw (R, S, C, K), F32, from x (N, H, W, C) and dy (N, Ho, Wo, K).</summary>
    public static void WeightGradient<V, T>(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw)
        where V : struct, IVector<V>
        where T : unmanaged, IElement<T>
    {
        if (Wastes<V>(s.K)) Convolution<Vec256, T>.WeightGradient(cpu, x, s, dy, dw);
        else Convolution<V, T>.WeightGradient(cpu, x, s, dy, dw);
    }

    /// <summary>Eight channels or fewer leave half of a 512-bit vector empty; two 256-bit ones a cycle do the same work.</summary>
    private static bool Wastes<V>(int channels) where V : struct, IVector<V> => V.Count == 16 && channels <= 8;
}

/// <summary>The same at one width.</summary>
internal static unsafe class Convolution<V, T>
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    private const int TilesPerTask = 16;

    // A panel larger than this leaves L1 and crowds L2: take the filter rows one at a time and add.
    private const int PanelBytes = 128 * 1024;

    public static void Forward(CpuDevice cpu, T* x, ConvShape s, T* w, float* bias, T* y)
    {
        if (s.IsPointwise)
        {
            Gemm.Run<V, T, T, T>(cpu, false, false, s.Pixels, s.K, s.C, x, s.C, w, s.K, y, s.K, bias: bias);
            return;
        }
        using var padded = PaddedPictures.Of<V, T>(cpu, x, s.N, s.H, s.W, s.C, -s.Padding, s.PaddedH, -s.Padding, s.PaddedW);
        using var weights = new PackedB<V>(cpu, s.R * s.S * s.C, s.K).Fill(cpu, false, w, s.K);
        Slide(cpu, padded, s.Stride, s.R, s.S, weights, bias, s.Ho, s.Wo, s.K, new Target(y, s.Ho, s.Wo, 0, 0, 1));
    }

    public static void DataGradient(CpuDevice cpu, T* dy, ConvShape s, T* w, float* bias, T* dx)
    {
        if (s.IsPointwise)
        {
            Gemm.Run<V, T, T, T>(cpu, false, true, s.Pixels, s.C, s.K, dy, s.K, w, s.K, dx, s.C, bias: bias);
            return;
        }
        for (var ph = 0; ph < s.Stride; ph++)
            for (var pw = 0; pw < s.Stride; pw++)
            {
                var rows = new PhaseTaps(ph, s.Stride, s.Padding, s.R, s.H);
                var cols = new PhaseTaps(pw, s.Stride, s.Padding, s.S, s.W);
                if (rows.Outputs > 0 && cols.Outputs > 0) Phase(cpu, dy, s, w, bias, rows, cols, new Target(dx, s.H, s.W, ph, pw, s.Stride));
            }
    }

    public static void WeightGradient(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw)
    {
        using var padded = PaddedPictures.Of<V, T>(cpu, x, s.N, s.H, s.W, s.C, -s.Padding, s.PaddedH, -s.Padding, s.PaddedW);
        using var upper = PaddedPictures.Of<V, T>(cpu, dy, s.N, s.Ho, s.Wo, s.K, 0, s.Ho, 0, s.Wo);
        var size = (long)s.R * s.S * s.C * s.K;
        var width = MicroKernels.Columns<V>();
        var panels = (s.K + width - 1) / width;
        // Large filters give tasks enough by themselves; small ones are summed over groups of pictures first. Both cuts
        // depend on sizes only.
        var groups = s.R * panels >= 8 || size > 1 << 17 ? 1 : Math.Min(s.N, 16);
        using var partial = cpu.Scratch(groups == 1 ? 1 : size * groups);
        var sums = groups == 1 ? dw : partial.At;
        float* xp = padded.At, pdy = upper.At;
        var (hp, wp) = (padded.H, padded.W);
        cpu.For(groups * s.R * panels, task =>
        {
            var (g, r, p) = (task / (s.R * panels), task / panels % s.R, task % panels);
            int j = p * width, nj = Math.Min(width, s.K - j), run = s.S * s.C;
            var target = sums + g * size + (nint)r * run * s.K + j;
            int from = s.N * g / groups, to = s.N * (g + 1) / groups;
            for (var n = from; n < to; n++)
            {
                var a = xp + ((nint)n * hp + r) * wp * s.C;
                var b = pdy + (nint)n * s.Ho * s.Wo * s.K + j;
                for (var m = 0; m < run; m += V.TileRows)
                    MicroKernels.Outer<V>(
                        a + m, (nint)s.Stride * s.C, (nint)s.Stride * wp * s.C, b, s.K, (nint)s.Wo * s.K, s.Ho, s.Wo, nj <= V.Count,
                        target + (nint)m * s.K, s.K, Math.Min(V.TileRows, run - m), nj, n > from);
            }
        });
        if (groups > 1) cpu.AddRows<V>(dw, sums, size, groups, checked((int)size));
    }

    /// <summary>The convolution proper, over pictures that are padded already.</summary>
    private static void Slide(
        CpuDevice cpu, PaddedPictures x, int stride, int r, int s, PackedB<V> weights, float* bias, int ho, int wo, int k, Target target)
    {
        var pixels = (long)x.N * ho * wo;
        var grain = TilesPerTask * V.TileRows;
        cpu.ForRange(pixels, grain, (from, to) =>
        {
            var count = (int)(to - from);
            var rows = stackalloc float*[TilesPerTask * MicroKernels.MaxRows + MicroKernels.MaxRows];
            Rows(rows, x, stride, from, count, ho, wo);
            if (target.IsPlain)
            {
                Tiles(rows, x, r, s, weights, bias, (float*)target.At + from * k, k, count);
                return;
            }
            var sums = TaskMemory.Take((long)count * k);
            Tiles(rows, x, r, s, weights, bias, sums, k, count);
            for (var i = 0; i < count; i++) Engine.Rows.Round<V, T>(target.At + target.Pixel(from + i, ho, wo) * k, sums + (nint)i * k, k);
        });
    }

    /// <summary>Where in the padded pictures each output pixel begins; the last is repeated to fill a tile.</summary>
    private static void Rows(float** rows, PaddedPictures x, int stride, long from, int count, int ho, int wo)
    {
        var (line, col) = Math.DivRem(from, wo);
        var (n, row) = Math.DivRem(line, ho);
        var at = x.At + ((n * x.H + row * stride) * x.W + col * stride) * x.C;
        nint step = (nint)stride * x.C, nextRow = ((nint)stride * x.W - (nint)wo * stride) * x.C, nextPicture = ((nint)x.H - (nint)ho * stride) * x.W * x.C;
        for (var i = 0; i < count; i++, at += step)
        {
            if (col == wo)
            {
                (col, row) = (0, row + 1);
                at += nextRow;
                if (row == ho)
                {
                    row = 0;
                    at += nextPicture;
                }
            }
            rows[i] = at;
            col++;
        }
        for (var i = 0; i < MicroKernels.MaxRows; i++) rows[count + i] = rows[count - 1];
    }

    private static void Tiles(float** rows, PaddedPictures x, int r, int s, PackedB<V> weights, float* bias, float* y, int k, int count)
    {
        var run = s * x.C;
        nint rowStride = (nint)x.W * x.C;
        var byRow = r > 1 && (long)r * run * PackedB<V>.Columns * sizeof(float) > PanelBytes;
        for (var p = 0; p < weights.Panels; p++)
        {
            int j = p * PackedB<V>.Columns, n = weights.Count(p), width = weights.Width(p);
            var narrow = weights.Narrow(p);
            var panel = weights.Panel(p);
            for (var f = 0; f < (byRow ? r : 1); f++)
            {
                if (f > 0)
                    for (var i = 0; i < count + MicroKernels.MaxRows; i++) rows[i] += rowStride;
                for (var i = 0; i < count; i += V.TileRows)
                    MicroKernels.Rows<V>(
                        rows + i, byRow ? 1 : r, rowStride, run, panel + (nint)f * run * width, narrow,
                        y + (nint)i * k + j, k, Math.Min(V.TileRows, count - i), n, f > 0, f > 0 || bias == null ? null : bias + j);
            }
            if (!byRow) continue;
            for (var i = 0; i < count + MicroKernels.MaxRows; i++) rows[i] -= (r - 1) * rowStride;
        }
    }

    private static void Phase(CpuDevice cpu, T* dy, ConvShape s, T* w, float* bias, PhaseTaps rows, PhaseTaps cols, Target dx)
    {
        if (rows.Count == 0 || cols.Count == 0)
        {
            Untouched(cpu, (long)s.N * rows.Outputs * cols.Outputs, rows.Outputs, cols.Outputs, s.C, bias, dx);
            return;
        }
        using var padded = PaddedPictures.Of<V, T>(
            cpu, dy, s.N, s.Ho, s.Wo, s.K, rows.First, rows.Outputs + rows.Count - 1, cols.First, cols.Outputs + cols.Count - 1);
        using var weights = new PackedB<V>(cpu, rows.Count * cols.Count * s.K, s.C);
        cpu.For(weights.Panels * rows.Count * cols.Count, task =>
        {
            var (p, tap) = Math.DivRem(task, rows.Count * cols.Count);
            var (tr, tc) = Math.DivRem(tap, cols.Count);
            var width = weights.Width(p);
            var filter = w + (((nint)rows.Tap(tr) * s.S + cols.Tap(tc)) * s.C + p * PackedB<V>.Columns) * s.K;
            PackedB<V>.PackTransposed(filter, s.K, s.K, weights.Panel(p) + (nint)tap * s.K * width, width, weights.Count(p));
        });
        Slide(cpu, padded, 1, rows.Count, cols.Count, weights, bias, rows.Outputs, cols.Outputs, s.C, dx);
    }

    /// <summary>Pixels that no filter tap reaches hold the bias alone.</summary>
    private static void Untouched(CpuDevice cpu, long pixels, int rows, int cols, int c, float* bias, Target dx) =>
        cpu.ForRange(pixels, Math.Max(1, CpuDevice.Grain / c), (from, to) =>
        {
            for (var i = from; i < to; i++)
            {
                T* pixel = dx.At + dx.Pixel(i, rows, cols) * c;
                if (bias == null) new Span<T>(pixel, c).Clear();
                else Engine.Rows.Round<V, T>(pixel, bias, c);
            }
        });

    /// <summary>Where results go: pictures of H×W of which every stride-th pixel is written, from one of the stride² phases on.</summary>
    private readonly struct Target(T* at, int h, int w, int phaseRow, int phaseCol, int stride)
    {
        public T* At => at;

        /// <summary>True where sums may be written as they are: every pixel, in F32.</summary>
        public bool IsPlain => stride == 1 && typeof(T) == typeof(F32);

        /// <summary>The pixel that output i of rows×cols outputs becomes.</summary>
        public nint Pixel(long i, int rows, int cols)
        {
            var (line, col) = Math.DivRem(i, cols);
            var (n, row) = Math.DivRem(line, rows);
            return (nint)((n * h + phaseRow + row * stride) * w + phaseCol + col * stride);
        }
    }
}
