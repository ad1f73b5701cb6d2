namespace Plip.Engine;

/// <summary>The windows of a pooling along one axis: first position and one past the last.</summary>
internal static class PoolWindows
{
    public static (int From, int To)[] Strided(int size, int k, int stride, int padding)
    {
        var windows = new (int, int)[(size + 2 * padding - k) / stride + 1];
        for (var i = 0; i < windows.Length; i++)
            windows[i] = (Math.Max(0, i * stride - padding), Math.Min(size, i * stride - padding + k));
        return windows;
    }

    public static (int From, int To)[] Adaptive(int size, int bins)
    {
        var windows = new (int, int)[bins];
        for (var i = 0; i < bins; i++)
            windows[i] = ((int)((long)i * size / bins), (int)(((long)(i + 1) * size + bins - 1) / bins));
        return windows;
    }

    /// <summary>Whether no position is in two windows.</summary>
    public static bool Disjoint((int From, int To)[] windows)
    {
        for (var i = 1; i < windows.Length; i++)
            if (windows[i].From < windows[i - 1].To) return false;
        return true;
    }

    /// <summary>For each position the windows that hold it: first and one past the last. Windows are in order, so they are a run.</summary>
    public static (int From, int To)[] Holding((int From, int To)[] windows, int size)
    {
        var holding = new (int From, int To)[size];
        for (var p = 0; p < size; p++)
        {
            var from = 0;
            while (from < windows.Length && windows[from].To <= p) from++;
            var to = from;
            while (to < windows.Length && windows[to].From <= p) to++;
            holding[p] = (from, to);
        }
        return holding;
    }

    /// <summary>Rows of one of two pictures whose share of the larger, x, is about a task's worth of elements.</summary>
    public static long RowsPerTask(Tensor x, int rows) =>
        Math.Max(1, CpuDevice.GrainOf(x.Count) * (long)rows / Math.Max(1, (long)x.Shape[1] * x.Shape[2] * x.Shape[3]));
}
