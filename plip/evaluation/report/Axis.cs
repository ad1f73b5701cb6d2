namespace Plip.Evaluation;

/// <summary>One axis of a chart: from values to a place between two coordinates, with ticks at round numbers.</summary>
internal sealed class Axis
{
    private readonly double _low, _high, _from, _to;
    private readonly bool _logarithmic;

    /// <param name="min">Smallest value to show (above 0 where logarithmic).</param>
    /// <param name="max">Largest value to show.</param>
    /// <param name="from">Coordinate of the low end.</param>
    /// <param name="to">Coordinate of the high end.</param>
    /// <param name="logarithmic">Whether equal factors take equal room.</param>
    /// <param name="ticks">About how many ticks; a linear axis is widened to whole steps when <paramref name="round"/>.</param>
    /// <param name="round">Whether a linear axis ends on ticks.</param>
    public Axis(double min, double max, double from, double to, bool logarithmic, int ticks = 5, bool round = true)
    {
        (_from, _to, _logarithmic) = (from, to, logarithmic);
        if (logarithmic)
        {
            // a flat curve gets a factor of two of room, others 4 %
            var room = max / min < 1.0001 ? 2 : Math.Pow(max / min, 0.04);
            (_low, _high) = (min / room, max * room);
            Ticks = LogarithmicTicks(_low, _high);
            return;
        }
        if (max - min < 1e-12 * Math.Max(1, Math.Abs(max))) (min, max) = (min - 0.5, max + 0.5);
        var step = Step((max - min) / ticks);
        (_low, _high) = round ? (Math.Floor(min / step) * step, Math.Ceiling(max / step) * step) : (min, max);
        var list = new List<double>();
        for (var i = Math.Ceiling(_low / step - 1e-9); i * step <= _high + 1e-9 * step; i++) list.Add(i * step);
        Ticks = list;
    }

    /// <summary>Where the grid lines stand.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>The coordinate of a value.</summary>
    public double At(double value) => _from + (_to - _from) * (_logarithmic
        ? Math.Log(value / _low) / Math.Log(_high / _low)
        : (value - _low) / (_high - _low));

    private static double Step(double rough)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        return (rough / power) switch { <= 1 => power, <= 2 => 2 * power, <= 5 => 5 * power, _ => 10 * power };
    }

    // Decades; with 2 and 5 between where there are few of them; plain round steps within less than a factor of about four.
    private static List<double> LogarithmicTicks(double low, double high)
    {
        var decades = Math.Log10(high / low);
        var list = new List<double>();
        if (decades < 0.6)
        {
            var step = Step((high - low) / 4);
            for (var i = Math.Ceiling(low / step); i * step <= high; i++) list.Add(i * step);
            return list;
        }
        double[] factors = decades < 1.6 ? [1, 2, 5] : decades < 3.2 ? [1, 3] : [1];
        for (var e = Math.Floor(Math.Log10(low)); e <= Math.Ceiling(Math.Log10(high)); e++)
            foreach (var f in factors)
                if (f * Math.Pow(10, e) is var tick && tick >= low && tick <= high) list.Add(tick);
        return list;
    }
}
