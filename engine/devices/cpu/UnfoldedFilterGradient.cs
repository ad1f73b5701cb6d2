using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>
/// The gradient of filters over pictures of few channels. A tap row's S·C floats rarely fill the rows of a tile; here all
/// R·S·C that a pixel of dy meets are copied next to each other, some rows of dy at a time, and dw (R·S·C × K) is one product of them
/// with dy. A task has some rows of dy, and sums of its own.
/// </summary>
internal static unsafe class UnfoldedFilterGradient<V, T>
    where V : struct, IVector<V>
    where T : unmanaged, IElement<T>
{
    // Pixels multiplied at a time: the sums of a tile are loaded and stored once for them.
    private const int Pixels = 64;

    private const int Tasks = 16, FewestRows = 8;

    /// <summary>Whether it has fewer tiles than one tap row after another.</summary>
    public static bool Saves(ConvShape s) => s.C < V.TileRows && 5 * Tiles(s.R * s.S * s.C) <= 4 * s.R * Tiles(s.S * s.C);

    /// <summary>dw (R, S, C, K), F32, from x (N, H, W, C) and dy (N, Ho, Wo, K).</summary>
    public static void Run(CpuDevice cpu, T* x, ConvShape s, T* dy, float* dw)
    {
        int rows = s.N * s.Ho, tasks = Math.Clamp(rows / FewestRows, 1, Tasks), size = s.R * s.S * s.C * s.K;
        using var partial = cpu.Scratch((long)size * tasks);
        var sums = partial.At;
        var source = new Pictures<V, T>(x, s.H, s.W, s.C, -s.Padding, -s.Padding, s.Stride, s.R, s.S);
        cpu.For(tasks, task => Task(source, s, dy, sums + (long)task * size, (int)((long)rows * task / tasks), (int)((long)rows * (task + 1) / tasks)));
        cpu.AddRows<V>(dw, sums, size, tasks, size);
    }

    private static int Tiles(int rows) => (rows + V.TileRows - 1) / V.TileRows;

    private static void Task(Pictures<V, T> source, ConvShape s, T* dy, float* sums, int begin, int end)
    {
        int columns = s.R * s.S * s.C, pitch = Tiles(columns) * V.TileRows, most = Math.Max(1, Pixels / s.Wo);
        var calls = Tiles(columns) * ((s.K + MicroKernels.Columns<V>() - 1) / MicroKernels.Columns<V>());
        long window = source.WindowFloats(most, s.Wo), views = (long)most * s.Wo * pitch + V.Count;
        var memory = TaskMemory.Take(window + V.Count + views + (typeof(T) == typeof(F32) ? 0 : (long)most * s.Wo * s.K));
        float* seen = memory + window + V.Count, widened = seen + views;
        for (int row = begin, rows; row < end; row += rows)
        {
            var (n, i) = Math.DivRem(row, s.Ho);
            rows = Math.Min(most, Math.Min(s.Ho - i, end - row));
            var from = source.Window(n, i, rows, s.Wo, memory, out var line);
            for (var r = 0; r < rows; r++)
                Views(seen + (nint)r * s.Wo * pitch, pitch, s.Wo, from + r * s.Stride * line, line, s.R, s.S * s.C, s.Stride * s.C);
            var b = (float*)(dy + (nint)row * s.Wo * s.K);
            if (typeof(T) != typeof(F32)) Rows.Widen<V, T>(b = widened, dy + (nint)row * s.Wo * s.K, (long)rows * s.Wo * s.K);
            // The rows of dy after these come from memory meanwhile, a part of them for each tile.
            var next = Ahead.ByColumns(dy + (nint)(row + rows) * s.Wo * s.K, 0, 1, rows * s.Wo * s.K / calls * Ahead.Steps);
            for (var j = 0; j < s.K; j += MicroKernels.Columns<V>())
            {
                var count = Math.Min(MicroKernels.Columns<V>(), s.K - j);
                for (var m = 0; m < columns; m += V.TileRows)
                {
                    next.Step();
                    MicroKernels.Outer<V>(
                        seen + m, pitch, 0, b + j, s.K, 0, 1, (nint)rows * s.Wo, count <= V.Count, sums + (nint)m * s.K + j, s.K, Math.Min(V.TileRows, columns - m), count, row > begin);
                }
            }
        }
    }

    /// <summary>What each pixel of a row of dy meets. Whole vectors are stored, and what is too much of one is overwritten by the next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Views(float* to, nint pitch, int pixels, float* from, nint line, int rows, nint run, nint step)
    {
        for (; pixels > 0; pixels--, to += pitch, from += step)
            for (nint r = 0; r < rows; r++)
                for (nint v = 0; v < run; v += V.Count) V.Load(from + r * line + v).Store(to + r * run + v);
    }
}
