namespace Plip.Engine;

/// <summary>
/// How a parameter starts. Random values are a function of (seed, parameter name, element), so they depend neither on
/// the order in which a model is built nor on what else it holds.
/// </summary>
public readonly record struct Init
{
    private readonly Kind _kind;
    private readonly float _amount;

    private Init(Kind kind, float amount) => (_kind, _amount) = (kind, amount);

    private enum Kind : byte
    {
        Constant,
        Normal,
        Uniform,
    }

    /// <summary>All zeros.</summary>
    public static Init Zeros => default;

    /// <summary>All ones.</summary>
    public static Init Ones => Constant(1f);

    /// <summary>One value everywhere.</summary>
    public static Init Constant(float value) => new(Kind.Constant, value);

    /// <summary>Normal with mean 0; BERT and GPT-2 use a deviation of 0.02.</summary>
    public static Init Normal(float std) => new(Kind.Normal, std);

    /// <summary>Uniform in [−bound, bound).</summary>
    public static Init Uniform(float bound) => new(Kind.Uniform, bound);

    /// <summary>
    /// PyTorch's default for the weight and the bias of linear and convolution layers: uniform within 1/√fanIn, which
    /// is He et al. (arXiv:1502.01852) with a leaky slope of √5: gain √(2/(1+5)) times √(3/fanIn).
    /// </summary>
    /// <param name="fanIn">Inputs of one output: In for linear, C·R·S for convolution (of the result's channels when transposed).</param>
    public static Init Kaiming(int fanIn) => Uniform(1f / MathF.Sqrt(Math.Max(1, fanIn)));

    /// <summary>Fills <paramref name="values"/> for the parameter of this name.</summary>
    internal void Fill(float[] values, ulong seed, string name)
    {
        if (_kind == Kind.Constant)
        {
            Array.Fill(values, _amount);
            return;
        }
        // 64 bits of the name, in the two words of the counter that elements do not use: names would have to collide in both.
        var hash = Hash(name);
        var random = new Philox(seed, (uint)hash, (uint)(hash >> 32));
        var (normal, amount) = (_kind == Kind.Normal, _amount);
        const int Chunk = 1 << 16;
        // A value costs about 40 ns and BERT has a hundred million, so chunks go to all cores; each is a function of its place.
        Parallel.For(0, (values.Length + Chunk - 1) / Chunk, c =>
        {
            for (int i = c * Chunk, end = Math.Min(values.Length, i + Chunk); i < end; i++)
                values[i] = normal ? amount * random.Normal((ulong)i) : random.Uniform((ulong)i, -amount, amount);
        });
    }

    /// <summary>FNV-1a over the UTF-16 units; string.GetHashCode differs from process to process.</summary>
    private static ulong Hash(string name)
    {
        var h = 14695981039346656037UL;
        foreach (var c in name)
        {
            h = (h ^ (byte)c) * 1099511628211UL;
            h = (h ^ (byte)(c >> 8)) * 1099511628211UL;
        }
        return h;
    }
}
