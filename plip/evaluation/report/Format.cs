using System.Globalization;

namespace Plip.Evaluation;

/// <summary>Numbers as the report writes them, whatever the machine's culture.</summary>
internal static class Format
{
    /// <summary>A fraction as a percentage with one decimal, without the sign: 0.596 → "59.6".</summary>
    public static string Percent(double fraction) => (100 * fraction).ToString("0.0", CultureInfo.InvariantCulture);

    /// <summary>A count with thin spaces between thousands.</summary>
    public static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', '\u2009');

    /// <summary>A coordinate of a drawing, two decimals at most.</summary>
    public static string Coordinate(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    /// <summary>A tick label: at most four digits, thousands as k, millions as M.</summary>
    public static string Tick(double value)
    {
        var (scaled, suffix) = Math.Abs(value) switch
        {
            >= 1e9 => (value / 1e9, "G"),
            >= 1e6 => (value / 1e6, "M"),
            >= 1e4 => (value / 1e3, "k"),
            _ => (value, ""),
        };
        var magnitude = Math.Abs(scaled);
        var format = magnitude != 0 && magnitude < 1e-3 ? "0.##e-0" : "0.####";
        return scaled.ToString(format, CultureInfo.InvariantCulture).Replace('-', '\u2212') + suffix;
    }

    /// <summary>A length of time in its two largest units.</summary>
    public static string Duration(TimeSpan time) => time switch
    {
        { TotalHours: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours} h {time.Minutes:00} min"),
        { TotalMinutes: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.Minutes} min {time.Seconds:00} s"),
        { TotalSeconds: >= 10 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s"),
        { TotalSeconds: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.00} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0} ms"),
    };

    /// <summary>A colour for CSS.</summary>
    public static string Hex(NamedColour colour) => string.Create(CultureInfo.InvariantCulture, $"#{colour.R:x2}{colour.G:x2}{colour.B:x2}");
}
