namespace Plip.Engine;

/// <summary>What lines of cache ask of the memory that transforms go through.</summary>
internal static unsafe class CacheLines
{
    /// <summary>Floats more than a buffer needs, so that <see cref="Aligned"/> has room.</summary>
    public const int Slack = 16;

    /// <summary>Floats between the planes that one vector after another is stored to: a power of two apart, all would fall into the same few lines.</summary>
    public const int Gap = 16;

    /// <summary>The next line's beginning: a vector that straddles two costs twice, and is not forwarded from its store to its load.</summary>
    public static float* Aligned(float* p) => (float*)(((nuint)p + 63) & ~(nuint)63);
}
