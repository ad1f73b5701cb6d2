using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Keeps a worker off the core of the thread it helps. In a training step of some 800 loops one in 200 found both on one
/// core of two while the other idled (a wake-up lands where the waker runs), and such a loop waits for a time slice to end.
/// Linux only; elsewhere, and where the calls fail, nothing happens.
/// </summary>
internal static unsafe partial class CpuPlacement
{
    private const int Words = 16; // 1,024 cores, glibc's own mask

    /// <summary>The core this thread runs on, or −1.</summary>
    public static int Current => OperatingSystem.IsLinux() ? GetCpu() : -1;

    /// <summary>Moves this thread to any of the process's other cores if it runs on <paramref name="taken"/>.</summary>
    /// <param name="allowed">The cores the process may use, from <see cref="Allowed"/>.</param>
    public static void Avoid(int taken, ulong[]? allowed)
    {
        if (taken < 0 || allowed == null || GetCpu() != taken) return;
        var mask = stackalloc ulong[Words];
        var any = 0ul;
        for (var i = 0; i < Words; i++)
        {
            mask[i] = allowed[i];
            if (i == taken >> 6) mask[i] &= ~(1ul << (taken & 63));
            any |= mask[i];
        }
        if (any != 0) _ = SetAffinity(0, Words * sizeof(ulong), mask);
    }

    /// <summary>The cores this process may use; null where that cannot be told.</summary>
    public static ulong[]? Allowed()
    {
        if (!OperatingSystem.IsLinux()) return null;
        var mask = new ulong[Words];
        fixed (ulong* p = mask) return GetAffinity(0, Words * sizeof(ulong), p) == 0 ? mask : null;
    }

    [LibraryImport("libc", EntryPoint = "sched_getcpu"), SuppressGCTransition]
    private static partial int GetCpu();

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    private static partial int SetAffinity(int thread, nuint bytes, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_getaffinity")]
    private static partial int GetAffinity(int thread, nuint bytes, ulong* mask);
}
