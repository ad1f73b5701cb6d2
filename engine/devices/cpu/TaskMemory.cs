using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Working memory of a task, one block for each thread, kept from task to task: the device's pool belongs to the launching
/// thread and a task may not take from it. A task asks once; the next task of the thread gets the same memory.
/// </summary>
internal sealed unsafe class TaskMemory
{
    [ThreadStatic]
    private static TaskMemory? _mine;

    private const int Slack = 128;

    private float* _at;
    private long _floats;

    private TaskMemory()
    {
    }

    ~TaskMemory() => NativeMemory.AlignedFree(_at); // when its thread is gone

    /// <summary>So many floats, aligned to a cache line, with slack for a tile's width behind them; contents are undefined.</summary>
    public static float* Take(long floats)
    {
        var mine = _mine ??= new TaskMemory();
        if (mine._floats < floats)
        {
            NativeMemory.AlignedFree(mine._at);
            mine._at = null;
            mine._floats = 0;
            // A whole large page at least: tasks walk through planes of it side by side, each on a page of its own.
            var bytes = Math.Max(floats * sizeof(float) + Slack, HostMemory.LargePage);
            mine._at = (float*)HostMemory.OnLargePages(bytes);
            mine._floats = (bytes - Slack) / sizeof(float);
        }
        return mine._at;
    }
}
