using System.Runtime.CompilerServices;

namespace Plip.Data.World;

/// <summary>Smooth value noise on a lattice hashed from integers: the same everywhere, with nothing to store.</summary>
internal static class Noise
{
    /// <summary>A hash of two lattice coordinates, uniform in [0, 1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Hash(uint seed, int x, int y)
    {
        var h = seed ^ (uint)x * 0x9E3779B1u ^ (uint)y * 0x85EBCA77u;
        h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
        h = (h ^ (h >> 12)) * 0x297A2D39u;
        return ((h ^ (h >> 15)) >> 8) * (1f / (1 << 24));
    }

    /// <summary>Value noise in [0, 1) with features of about unit size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Value(uint seed, float x, float y)
    {
        var fx = MathF.Floor(x);
        var fy = MathF.Floor(y);
        int ix = (int)fx, iy = (int)fy;
        x -= fx;
        y -= fy;
        x = x * x * (3 - 2 * x);
        y = y * y * (3 - 2 * y);
        float a = Hash(seed, ix, iy), b = Hash(seed, ix + 1, iy), c = Hash(seed, ix, iy + 1), d = Hash(seed, ix + 1, iy + 1);
        return a + (b - a) * x + (c - a) * y + (a - b - c + d) * x * y;
    }
}
