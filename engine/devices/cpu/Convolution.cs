using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// NHWC convolutions on the CPU without im2col, summed in F32. In a padded picture the S·C floats under one filter row are
/// contiguous, so an output pixel is R such runs against a packed panel of weights (<see cref="MicroKernels.Rows{V}"/>), and
/// the gradient of the weights is a sum of outer products over pixels (<see cref="MicroKernels.Outer{V}"/>). Each task pads
/// the part it reads in memory of its own, which is in its cache then: a padded copy of all pictures cost a sixth of the time.
/// In small pictures taps that fall on padding are left out, and nothing is padded (<see cref="TapPlan{V}"/>).
/// The data gradient at stride s is s² convolutions of stride 1, one for each phase of the output; a transposed
/// convolution is that same thing run forward. 1×1 filters at stride 1 are plain products.
/// Gradients of layers on pictures of few channels have loops of their own (<see cref="FoldedDataGradient{V, T}"/>,
/// <see cref="UnfoldedFilterGradient{V, T}"/>). 3×3 filters over whole vectors of channels have fewer multiplications (<see cref="WinogradConvolution{V, T, A}"/>).
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
        if (FoldedDataGradient<V, T>.Saves(s)) FoldedDataGradient<V, T>.Run(cpu, dy, s, w, bias, dx);
        else if (Wastes<V>(s.C)) Convolution<Vec256, T>.DataGradient(cpu, dy, s, w, bias, dx);
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
    // A panel larger than this leaves L1 and crowds L2: take the filter rows one at a time and add.
    private const int PanelBytes = 128 * 1024;

    // Pixels of dy multiplied at a time: a panel of them is 16 KB, and a tile's sums are loaded and stored once for them.
    private const int PassPixels = 128;

    // Filters up to this size have partial sums for each group of pictures; larger ones are products of what they see with dy.
    private const int SmallFilter = 1 << 17;

    // 1×1 filters on smaller pictures are one product over all their pixels: sums are loaded and stored once for a picture.
    private const int FewPixels = 32;

    // Lines shorter than this are transposed too slowly to be worth it; and with fewer channels than these a walk from pixel
    // to pixel still finds its way through the caches (from a page on, every step falls into the same few lines).
    private const int ShortLine = 6, ManyChannels = 1024;

    // Floats of a result of short sums from which on its lines are asked for before they are stored to; it costs smaller ones 5 %.
    private const int LargeResult = 1 << 21;

    // Minimal filtering pays from so many channels on; at stride two, where it saves less, the convolution itself from more.
    private const int FewChannels = 16, SeveralChannels = 256;

    public static void Forward(CpuDevice cpu, T* x, ConvShape s, T* w, float* bias, T* y)
    {
        if (s.IsPointwise)
        {
            Gemm.Run<V, T, T, T>(cpu, false, false, s.Pixels, s.K, s.C, x, s.C, w, s.K, y, s.K, bias: bias);
            return;
        }
        if (IsMinimal(s, 1, FewChannels) && Saves(s.Ho, s.Wo, s))
        {
            Minimal<UnitAxis>(cpu, x, s, w, bias, y);
            return;
        }
        if (IsMinimal(s, 2, SeveralChannels))
        {
            Minimal<StridedAxis>(cpu, x, s, w, bias, y);
            return;
        }
        using var weights = new PackedB<V>(cpu, s.R * s.S * s.C, s.K).Fill(cpu, false, w, s.K);
        var source = new Pictures<V, T>(x, s.H, s.W, s.C, -s.Padding, -s.Padding, s.Stride, s.R, s.S);
        var plan = new TapPlan<V>(s.N, new(s.Ho, -s.Padding, s.Stride, s.R, s.H), new(s.Wo, -s.Padding, s.Stride, s.S, s.W), s.C, weights.Panels);
        var asks = typeof(T) == typeof(F32) && s.R * s.S * s.C < MicroKernels.ShortSum && (long)s.Pixels * s.K >= LargeResult;
        Slide(cpu, source, weights, bias, plan, new Target(y, s.K, s.Ho, s.Wo, 0, 0, 1), asks);
    }

    public static void DataGradient(CpuDevice cpu, T* dy, ConvShape s, T* w, float* bias, T* dx)
    {
        if (s.IsPointwise)
        {
            Gemm.Run<V, T, T, T>(cpu, false, true, s.Pixels, s.C, s.K, dy, s.K, w, s.K, dx, s.C, bias: bias);
            return;
        }
        if (s.Padding <= 2 && IsMinimal(s, 1, FewChannels) && Saves(s.H, s.W, s))
        {
            using var filters = WinogradFilters<V>.Backward(cpu, w, s.C, s.K);
            WinogradConvolution<V, T, UnitAxis>.Run(cpu, dy, s.N, s.Ho, s.Wo, s.K, s.Padding - 2, filters, bias, dx, s.H, s.W, s.C);
            return;
        }
        for (var ph = 0; ph < s.Stride; ph++)
            for (var pw = 0; pw < s.Stride; pw++)
            {
                var rows = new PhaseTaps(ph, s.Stride, s.Padding, s.R, s.H);
                var cols = new PhaseTaps(pw, s.Stride, s.Padding, s.S, s.W);
                if (rows.Outputs > 0 && cols.Outputs > 0) Phase(cpu, dy, s, w, bias, rows, cols, new Target(dx, s.C, s.H, s.W, ph, pw, s.Stride));
            }
    }

    public static void WeightGradient(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw)
    {
        if (UnfoldedFilterGradient<V, T>.Saves(s))
        {
            UnfoldedFilterGradient<V, T>.Run(cpu, x, s, dy, dw);
            return;
        }
        if (IsMinimal(s, 1, FewChannels))
        {
            WinogradFilterGradient<V, T, UnitAxis>.Run(cpu, x, s, dy, dw);
            return;
        }
        if (IsMinimal(s, 2, FewChannels))
        {
            WinogradFilterGradient<V, T, StridedAxis>.Run(cpu, x, s, dy, dw);
            return;
        }
        var size = s.R * s.S * s.C * s.K;
        if (size <= SmallFilter && s.N > 1 && !(s.IsPointwise && s.Ho * s.Wo < FewPixels))
        {
            SmallFilters(cpu, x, s, dy, dw, size);
            return;
        }
        if (!s.IsPointwise && (s.Wo < ShortLine || s.K < ManyChannels))
        {
            SmallPictures(cpu, x, s, dy, dw);
            return;
        }
        using var upper = new PackedB<V>(cpu, s.Pixels, s.K).Fill(cpu, false, dy, s.K);
        if (s.IsPointwise) Gemm.Run<V, Transposed<T>, F32>(cpu, s.C, s.K, s.Pixels, new(x, s.C), upper, (F32*)dw, s.K);
        else Gemm.Run<V, FilterViews<T>, F32>(cpu, s.R * s.S * s.C, s.K, s.Pixels, new(x, s), upper, (F32*)dw, s.K);
    }

    /// <summary>3×3 filters at this stride over whole vectors of channels, enough of them to pay for the transforms.</summary>
    private static bool IsMinimal(ConvShape s, int stride, int fewest) =>
        s.R == 3 && s.S == 3 && s.Stride == stride && s.C % V.Count == 0 && s.K % V.Count == 0 && Math.Min(s.C, s.K) >= fewest;

    /// <summary>Whether the products of tiles of 2×2 outputs, and a quarter for the transforms, are fewer than the taps inside the picture.</summary>
    private static bool Saves(int rows, int cols, ConvShape s) =>
        (rows + 1) / 2 * ((cols + 1) / 2) * 16L * 5 / 4 <= (long)Inside(rows, s.H) * Inside(cols, s.W);

    /// <summary>Taps of a line of outputs that are inside the picture, for a filter of three at padding one; more padding is rare and is taken for it.</summary>
    private static int Inside(int outputs, int extent) => Math.Min(3 * outputs, 3 * extent - 2);

    private static void Minimal<A>(CpuDevice cpu, T* x, ConvShape s, T* w, float* bias, T* y) where A : struct, IWinogradAxis
    {
        using var filters = WinogradFilters<V>.Forward(cpu, w, s.C, s.K);
        WinogradConvolution<V, T, A>.Run(cpu, x, s.N, s.H, s.W, s.C, -s.Padding, filters, bias, y, s.Ho, s.Wo, s.K);
    }

    /// <summary>One task a group of pictures, each with sums of its own: pictures are padded, and dy widened, in the task's memory.</summary>
    private static void SmallFilters(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw, int size)
    {
        var groups = Math.Min(s.N, 16);
        using var partial = cpu.Scratch((long)size * groups);
        var sums = partial.At;
        var source = new Pictures<V, T>(x, s.H, s.W, s.C, -s.Padding, -s.Padding, s.Stride, s.R, s.S);
        cpu.For(groups, g =>
        {
            long window = source.WindowFloats(s.Ho, s.Wo), upper = (long)s.Ho * s.Wo * s.K;
            var memory = TaskMemory.Take(window + (typeof(T) == typeof(F32) ? 0 : upper));
            int from = s.N * g / groups, to = s.N * (g + 1) / groups;
            for (var n = from; n < to; n++)
            {
                var a = source.Window(n, 0, s.Ho, s.Wo, memory, out var pitch);
                var b = (float*)(dy + n * upper);
                if (typeof(T) != typeof(F32)) Rows.Widen<V, T>(b = memory + window, dy + n * upper, upper);
                for (int i = 0, rows; i < s.Ho; i += rows)
                {
                    rows = Math.Min(PassRows(s), s.Ho - i);
                    for (var r = 0; r < s.R; r++)
                        for (var j = 0; j < s.K; j += MicroKernels.Columns<V>())
                            Outer(
                                a + (i * s.Stride + r) * pitch, pitch, b + (nint)i * s.Wo * s.K + j, s, rows,
                                sums + (long)g * size + (long)r * s.S * s.C * s.K + j, Math.Min(MicroKernels.Columns<V>(), s.K - j), n > from || i > 0);
                }
            }
        });
        cpu.AddRows<V>(dw, sums, size, groups, size);
    }

    /// <summary>One task a filter row and panel of channels, whose sums stay in cache while all the pictures go by.</summary>
    private static void SmallPictures(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw)
    {
        var source = new Pictures<V, T>(x, s.H, s.W, s.C, -s.Padding, -s.Padding, s.Stride, s.R, s.S);
        long window = source.WindowFloats(s.Ho, s.Wo), upper = (long)s.Ho * s.Wo * s.K;
        var widened = typeof(T) == typeof(F32) ? 0 : upper;
        using var scratch = cpu.Scratch((window + widened) * s.N);
        float* windows = scratch.At, dys = windows + window * s.N;
        cpu.For(s.N, n =>
        {
            source.Window(n, 0, s.Ho, s.Wo, windows + n * window, out _);
            if (typeof(T) != typeof(F32)) Rows.Widen<V, T>(dys + n * upper, dy + n * upper, upper);
        });
        if (typeof(T) == typeof(F32)) dys = (float*)dy;
        var panels = (s.K + MicroKernels.Columns<V>() - 1) / MicroKernels.Columns<V>();
        cpu.For(s.R * panels, task =>
        {
            var (r, p) = Math.DivRem(task, panels);
            int j = p * MicroKernels.Columns<V>(), nj = Math.Min(MicroKernels.Columns<V>(), s.K - j);
            for (var n = 0; n < s.N; n++)
            {
                // A window that may be read in place has not been copied.
                var a = source.Window(n, 0, s.Ho, s.Wo, null, out var pitch);
                if (a == null) a = windows + n * window;
                for (int i = 0, rows; i < s.Ho; i += rows)
                {
                    rows = Math.Min(PassRows(s), s.Ho - i);
                    Outer(
                        a + (i * s.Stride + r) * pitch, pitch, dys + n * upper + (nint)i * s.Wo * s.K + j, s, rows,
                        dw + (nint)r * s.S * s.C * s.K + j, nj, n > 0 || i > 0);
                }
            }
        });
    }

    /// <summary>
    /// Rows of dy that are multiplied with all they meet before the next: their panel then stays in L1 and what they meet in L2, whose lines
    /// are read once for each tile of a filter row.
    /// </summary>
    private static int PassRows(ConvShape s) => Math.Max(1, PassPixels / s.Wo);

    /// <summary>A filter row's gradient (S·C × up to a panel of K) from some rows of one padded picture.</summary>
    private static void Outer(float* a, nint pitch, float* b, ConvShape s, int rows, float* sums, int nj, bool accumulate)
    {
        var run = s.S * s.C;
        for (var m = 0; m < run; m += V.TileRows)
            MicroKernels.Outer<V>(
                a + m, (nint)s.Stride * s.C, s.Stride * pitch, b, s.K, (nint)s.Wo * s.K, rows, s.Wo, nj <= V.Count,
                sums + (nint)m * s.K, s.K, Math.Min(V.TileRows, run - m), nj, accumulate);
    }

    /// <summary>The convolution proper: a task has the pixels of a slab, in the order of the taps they meet, and some panels of the weights.</summary>
    /// <param name="asks">Whether results are so many, of sums so short, that storing them waits for memory unless it is asked for.</param>
    private static void Slide(CpuDevice cpu, Pictures<V, T> source, PackedB<V> weights, float* bias, TapPlan<V> plan, Target target, bool asks) =>
        cpu.For(plan.Slabs.Count * plan.Parts, task =>
        {
            var (index, part) = Math.DivRem(task, plan.Parts);
            var slab = plan.Slabs[index];
            int cols = plan.Slabs.Wo, picture = slab.Rows * cols;
            int from = weights.Panels * part / plan.Parts, to = weights.Panels * (part + 1) / plan.Parts;
            var tiles = plan.Tiles(slab.Pictures, slab.Rows);
            long windows = source.WindowFloats(slab.Rows, cols) * slab.Pictures, lists = TileList<V>.Floats(tiles);
            var memory = TaskMemory.Take(lists + windows + (target.IsDirect ? 0 : (long)slab.Pictures * picture * target.K));
            var list = new TileList<V>(memory, tiles);
            var at = source.Windows(slab, cols, memory + lists, plan.Inside, out var pitch, out var next);
            var sums = memory + lists + windows;
            var x = new Grid(at, next, source.Stride * pitch, (nint)source.Stride * source.C);
            var y = target.IsDirect ? target.Pixels(slab.Picture, slab.Row) : new Grid(sums, (nint)picture * target.K, (nint)cols * target.K, target.K);
            list.Add(plan, slab.Pictures, slab.Rows, x, y, pitch, source.C);
            Tiles(list, plan, slab.Pictures, slab.Rows, pitch, source.R, source.S, source.C, weights, from, to, bias, asks);
            if (target.IsDirect) return;
            int j = from * PackedB<V>.Columns, columns = Math.Min(target.K, to * PackedB<V>.Columns) - j;
            for (var p = 0; p < slab.Pictures; p++)
                target.Write(sums + (nint)p * picture * target.K, slab.Picture + p, slab.Row, slab.Rows, cols, j, columns);
        });

    private static void Tiles(
        TileList<V> list, TapPlan<V> plan, int pictures, int rows, nint pitch, int taps, int s, int c, PackedB<V> weights, int from, int to, float* bias, bool asks)
    {
        var byRow = taps > 1 && (long)taps * s * c * PackedB<V>.Columns * sizeof(float) > PanelBytes;
        for (var p = from; p < to; p++)
        {
            var panel = weights.Panel(p);
            for (var f = 0; f < (byRow ? taps : 1); f++)
            {
                var tile = 0;
                foreach (var row in plan.Rows)
                    foreach (var col in plan.Cols)
                    {
                        var pixels = TapPlan<V>.Pixels(pictures, rows, row, col);
                        var (first, segments) = byRow ? (f, 1) : (row.First, row.Last - row.First);
                        if (first >= row.First && first < row.Last)
                        {
                            // Pointers are at the first row of taps, and moved on from row to row only where there are passes.
                            int run = (col.Last - col.First) * c, width = weights.Width(p);
                            Tiles(
                                list, tile, pixels, (first - row.First) * pitch, segments, pitch, run, panel + ((nint)first * s + col.First) * c * width,
                                (s * c - run) * (nint)width, weights.Narrow(p), p * PackedB<V>.Columns, weights.Count(p), first > row.First && byRow, bias, asks);
                        }
                        tile += TileList<V>.Count(pixels);
                    }
            }
        }
    }

    /// <summary>One class of pixels against one panel.</summary>
    private static void Tiles(
        TileList<V> list, int tile, int pixels, nint offset, int segments, nint pitch, int run, float* panel, nint skip, bool narrow,
        int j, int n, bool accumulate, float* bias, bool asks)
    {
        var a = stackalloc float*[MicroKernels.MaxRows];
        bias = accumulate || bias == null ? null : bias + j;
        for (var i = 0; i < pixels; i += V.TileRows, tile++)
        {
            float** x = list.From(tile), y = list.To(tile);
            if (offset != 0)
            {
                for (var m = 0; m < V.TileRows; m++) a[m] = x[m] + offset;
                x = a;
            }
            var (count, ldc) = (Math.Min(V.TileRows, pixels - i), list.Spacing(tile));
            if (narrow && n == V.Count && pixels - i >= NarrowTiles.Rows<V>() && ldc != 0 && ldc == list.Spacing(tile + 1) && list.To(tile + 1)[0] == y[0] + V.TileRows * ldc
                && NarrowTiles.Spacing<V>(list.From(tile)) is var step and not 0)
            {
                NarrowTiles.Run<V>(list.From(tile)[0] + offset, step, segments, pitch, run, panel, skip, y[0] + j, ldc, accumulate, bias);
                (i, tile) = (i + V.TileRows, tile + 1);
                continue;
            }
            if (asks && ldc != 0) Ahead.Target(y[0] + j, ldc, count, n);
            if (ldc != 0) MicroKernels.Rows<V>(x, segments, pitch, run, panel, narrow, y[0] + j, ldc, count, n, accumulate, bias, skip);
            else MicroKernels.RowsScattered<V>(x, segments, pitch, run, panel, narrow, y, j, count, n, accumulate, bias, skip);
        }
    }

    private static void Phase(CpuDevice cpu, T* dy, ConvShape s, T* w, float* bias, PhaseTaps rows, PhaseTaps cols, Target dx)
    {
        if (rows.Count == 0 || cols.Count == 0)
        {
            var slabs = new Slabs<V>(s.N, rows.Outputs, cols.Outputs, s.C);
            // Pixels that no filter tap reaches hold the bias alone.
            cpu.For(slabs.Count, task =>
            {
                var slab = slabs[task];
                var count = slab.Rows * slabs.Wo;
                var sums = TaskMemory.Take((long)count * s.C);
                Gemm.FillRows(sums, s.C, count, s.C, bias);
                for (var p = 0; p < slab.Pictures; p++) dx.Write(sums, slab.Picture + p, slab.Row, slab.Rows, slabs.Wo, 0, s.C);
            });
            return;
        }
        using var weights = new PackedB<V>(cpu, rows.Count * cols.Count * s.K, s.C);
        cpu.For(weights.Panels * rows.Count * cols.Count, task =>
        {
            var (p, tap) = Math.DivRem(task, rows.Count * cols.Count);
            var (tr, tc) = Math.DivRem(tap, cols.Count);
            var width = weights.Width(p);
            var filter = w + (((nint)rows.Tap(tr) * s.S + cols.Tap(tc)) * s.C + p * PackedB<V>.Columns) * s.K;
            PackedB<V>.PackTransposed(filter, s.K, s.K, weights.Panel(p) + (nint)tap * s.K * width, width, weights.Count(p));
        });
        var source = new Pictures<V, T>(dy, s.Ho, s.Wo, s.K, rows.First, cols.First, 1, rows.Count, cols.Count);
        var plan = new TapPlan<V>(s.N, new(rows.Outputs, rows.First, 1, rows.Count, s.Ho), new(cols.Outputs, cols.First, 1, cols.Count, s.Wo), s.K, weights.Panels);
        Slide(cpu, source, weights, bias, plan, dx, asks: false);
    }

    /// <summary>Where results go: pictures (h, w, k) of which every stride-th pixel is written, from one of the stride² phases on.</summary>
    private readonly struct Target(T* at, int k, int h, int w, int phaseRow, int phaseCol, int stride)
    {
        public int K => k;

        /// <summary>True where sums may be written as they are.</summary>
        public bool IsDirect => typeof(T) == typeof(F32);

        /// <summary>Where the outputs from some row on lie, if they are F32.</summary>
        public Grid Pixels(int picture, int row) =>
            new((float*)Row(picture, row), (nint)h * w * k, (nint)stride * w * k, (nint)stride * k);

        /// <summary>Writes some rows of outputs of one picture: all their channels, or <paramref name="n"/> from <paramref name="channel"/> on.</summary>
        public void Write(float* sums, int picture, int row, int rows, int cols, int channel, int n)
        {
            for (var i = 0; i < rows; i++)
            {
                T* to = Row(picture, row + i);
                if (stride == 1 && n == k)
                {
                    Rows.Round<V, T>(to, sums, (long)cols * k);
                    sums += (nint)cols * k;
                    continue;
                }
                for (var j = 0; j < cols; j++, sums += k, to += (nint)stride * k) Loop.Run<V, Rounding>(new Rounding(to + channel, sums + channel), 0, n);
            }
        }

        private T* Row(int picture, int row) => at + (((nint)picture * h + phaseRow + row * stride) * w + phaseCol) * k;

        private readonly struct Rounding(T* to, float* sums) : ILoop
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void At<W>(long i) where W : struct, IVector<W> => T.Store(W.Load(sums + i), to + i);
        }
    }
}
