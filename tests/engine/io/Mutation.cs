using Plip.Engine;

namespace Plip.Tests.Engine;

/// <summary>Reproducible damage to a file: flipped bytes, truncations, splices of its own parts.</summary>
internal static class Mutation
{
    public static byte[] Of(byte[] bytes, uint number)
    {
        var random = new Philox(77, number);
        var (kind, a, b, c) = (random.Next(0, 5), random.Next(1, bytes.Length), random.Next(2, bytes.Length), random.Next(3, bytes.Length));
        switch (kind)
        {
            case 0: // flip one to four bits
                var flipped = (byte[])bytes.Clone();
                for (var i = 0; i <= random.Next(4, 4); i++) flipped[random.Next((ulong)(10 + i), bytes.Length)] ^= (byte)(1 << random.Next((ulong)(20 + i), 8));
                return flipped;
            case 1: // set one byte to anything, itself included
                var set = (byte[])bytes.Clone();
                set[a] = (byte)random.Next(5, 256);
                return set;
            case 2: // cut short
                return bytes[..a];
            case 3: // copy one part over another
                var pasted = (byte[])bytes.Clone();
                var n = Math.Min(1 + (c & 31), bytes.Length - Math.Max(a, b));
                bytes.AsSpan(a, n).CopyTo(pasted.AsSpan(b));
                return pasted;
            default: // insert or drop a part
                var at = Math.Min(a, b);
                return (c & 1) == 0 ? [.. bytes[..at], .. bytes[a..Math.Min(bytes.Length, a + (c & 15))], .. bytes[at..]] : [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + (c & 15))..]];
        }
    }
}
