using Plip.Engine;

namespace Plip.Data.World;

/// <summary>Which independent family of random numbers a <see cref="Draw"/> reads: a new use takes a new member.</summary>
internal enum WorldStream : uint
{
    Identity = 0x57_01,
    Image = 0x57_02,
    Caption = 0x57_03,
    Camera = 0x57_04,
    Scene = 0x57_05,
    Bystander = 0x57_06,
    Noise = 0x57_07,
}

/// <summary>
/// A cursor over one Philox sequence: the n-th number asked for is a pure function of (seed, stream, step, offset, n),
/// so an identity or a picture is the same whichever thread makes it, and whatever was made before.
/// </summary>
internal sealed class Draw(ulong seed, WorldStream stream, int step, int offset = 0)
{
    private readonly Philox philox = new(seed, (uint)stream, (uint)step);
    private ulong next = (ulong)(uint)offset << 32;

    public float Uniform() => philox.Uniform(next++);

    public float Range(float low, float high) => low + (high - low) * Uniform();

    public bool Chance(double probability) => Uniform() < probability;

    public int Next(int bound) => philox.Next(next++, bound);

    public uint Bits() => philox.Bits(next++);

    /// <summary>A roughly normal number (sum of three uniforms): bounded, so no draw is ever absurd.</summary>
    public float Bell(float mean, float deviation) => mean + deviation * 2f * (Uniform() + Uniform() + Uniform() - 1.5f);

    public T Pick<T>(IReadOnlyList<T> items) => items[Next(items.Count)];

    /// <summary>One of <paramref name="items"/> with the chance its weight has among all weights.</summary>
    public T Pick<T>(IReadOnlyList<T> items, Func<T, float> weight)
    {
        var total = 0f;
        foreach (var item in items) total += weight(item);
        var left = Uniform() * total;
        foreach (var item in items)
        {
            left -= weight(item);
            if (left < 0) return item;
        }
        return items[^1];
    }
}
