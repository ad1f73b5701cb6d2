using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Plip.Tasks;

/// <summary>
/// The masking probability G of image-guided attribute prediction as a function of training progress: it grows from 0.2
/// to 0.8, so that early steps lean on the words that are left and late steps on the picture (PLIP, NeurIPS 2024, IAP).
/// </summary>
public sealed class MaskingCurriculum
{
    /// <summary>The probability at the start of training.</summary>
    public const float Low = 0.2f;

    /// <summary>The probability at the end of training.</summary>
    public const float High = 0.8f;

    private readonly Func<double, double> _probability;

    private MaskingCurriculum(string name, Func<double, double> probability) => (Name, _probability) = (name, probability);

    /// <summary>G(x) = 0.2 + 0.6·√x: the paper's best and the default.</summary>
    public static MaskingCurriculum SquareRoot { get; } = Growing("sqrt(x)", Math.Sqrt);

    /// <summary>G(x) = 0.2 + 0.6·x.</summary>
    public static MaskingCurriculum Linear { get; } = Growing("x", x => x);

    /// <summary>G(x) = 0.2 + 0.6·x².</summary>
    public static MaskingCurriculum Square { get; } = Growing("x^2", x => x * x);

    /// <summary>The name a configuration gives; <see cref="Parse"/> reads it back.</summary>
    public string Name { get; }

    /// <summary>G(x) = v throughout (the paper tries 0.2, 0.5 and 0.8).</summary>
    /// <param name="value">v in [0, 1].</param>
    /// <exception cref="ArgumentOutOfRangeException">The value is not in [0, 1].</exception>
    public static MaskingCurriculum Constant(float value)
    {
        if (!(value is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(value), value, "A masking probability lies in [0, 1].");
        return new MaskingCurriculum(string.Create(CultureInfo.InvariantCulture, $"constant({value})"), _ => value);
    }

    /// <summary>What <see cref="Parse"/> reads, in words.</summary>
    public const string Valid = "sqrt(x) (the default), x, x^2 and constant(v) with v in [0, 1], for example constant(0.5)";

    /// <summary>Reads a configuration's name: <c>sqrt(x)</c>, <c>x</c>, <c>x^2</c> or <c>constant(v)</c>.</summary>
    /// <exception cref="FormatException">Another name, or a v that is no number in [0, 1]; the message lists what is valid.</exception>
    public static MaskingCurriculum Parse(string name) =>
        TryParse(name, out var curriculum) ? curriculum : throw new FormatException($"\"{name}\" is no masking curriculum. Valid are {Valid}.");

    /// <summary>As <see cref="Parse"/>, with false in place of the exception.</summary>
    public static bool TryParse(string name, [NotNullWhen(true)] out MaskingCurriculum? curriculum)
    {
        var text = name.Trim();
        curriculum = null;
        foreach (var known in (ReadOnlySpan<MaskingCurriculum>)[SquareRoot, Linear, Square])
            if (known.Name == text) curriculum = known;
        if (text.StartsWith("constant(", StringComparison.Ordinal) && text.EndsWith(')')
            && float.TryParse(text.AsSpan(9, text.Length - 10), NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
            && value is >= 0 and <= 1)
            curriculum = Constant(value);
        return curriculum != null;
    }

    /// <summary>The masking probability.</summary>
    /// <param name="progress">x: steps done over steps in all, in [0, 1].</param>
    /// <exception cref="ArgumentOutOfRangeException">The progress is not in [0, 1].</exception>
    public float At(double progress)
    {
        if (!(progress is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(progress), progress, "Progress lies in [0, 1].");
        return (float)_probability(progress);
    }

    private static MaskingCurriculum Growing(string name, Func<double, double> curve) =>
        new(name, x => Low + ((double)High - Low) * curve(x));
}
