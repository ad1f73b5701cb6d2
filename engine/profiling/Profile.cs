namespace Plip.Engine;

/// <summary>What an event of a profile is.</summary>
public enum ProfileKind
{
    /// <summary>A part of a step that the program marked.</summary>
    Phase,

    /// <summary>An op whose backward runs.</summary>
    Op,

    /// <summary>A kernel.</summary>
    Kernel,

    /// <summary>A copy within the device, to it or from it, or a clearing.</summary>
    Transfer,
}

/// <summary>Something that began and ended. Events nest: two of them are disjoint, or one lies inside the other.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">The kernel's, copy's, op's or phase's name.</param>
/// <param name="Start">Nanoseconds since the profile began.</param>
/// <param name="Duration">Nanoseconds from its beginning to its end.</param>
/// <param name="Self">For a kernel or copy: nanoseconds less those of kernels and copies inside it.</param>
/// <param name="Bytes">For a kernel or copy: memory traffic it needs, less what those inside it need.</param>
/// <param name="Flops">For a kernel: operations it needs, less what those inside it need.</param>
/// <param name="MemoryInUse">Bytes of the device that were in use when it began.</param>
/// <param name="MemoryAfter">Bytes in use when it ended.</param>
public readonly record struct ProfileEvent(
    ProfileKind Kind, string Name, long Start, long Duration, long Self, long Bytes, double Flops, long MemoryInUse, long MemoryAfter);

/// <summary>What a <see cref="Profiler"/> recorded.</summary>
/// <param name="Device">The device's name.</param>
/// <param name="Events">In the order in which they began.</param>
/// <param name="Duration">Nanoseconds from start to stop.</param>
/// <param name="PeakBytes">Most bytes of the device in use at once; what lived before the start counts.</param>
/// <param name="AllocatedBytes">Bytes of all blocks taken from the device's pool.</param>
/// <param name="Allocations">Blocks taken from the device's pool.</param>
public sealed record Profile(
    string Device, IReadOnlyList<ProfileEvent> Events, long Duration, long PeakBytes, long AllocatedBytes, int Allocations);
