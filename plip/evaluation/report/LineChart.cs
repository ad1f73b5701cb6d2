using System.Text;

namespace Plip.Evaluation;

/// <summary>
/// One curve as inline SVG. Colours come from the page's style sheet, so a chart follows light, dark and print; the
/// number of the task chooses its hue.
/// </summary>
internal static class LineChart
{
    private const double Width = 520, Height = 260, Left = 52, Right = 14, Top = 12, Bottom = 40;

    /// <summary>Writes a figure with its chart and a line that says what was drawn.</summary>
    public static void Write(HtmlWriter html, Curve curve, int hue)
    {
        var points = curve.Points.Where(p => Shown(p, curve.Logarithmic)).ToList();
        var missing = curve.Points.Count - points.Count;
        using var figure = html.Open("figure", ("class", $"chart hue{hue % 6}"));
        using (html.Open("div", ("class", "chart-head")))
        {
            html.Leaf("h3", curve.Name);
            if (points.Count > 0) html.Leaf("span", $"last {Format.Tick(Rounded(Last(curve, points)))}", ("class", "last"));
        }
        if (points.Count == 0)
        {
            html.Leaf("p", "No values to draw.", ("class", "quiet"));
            return;
        }
        Draw(html, curve, points);
        var caption = new StringBuilder($"{curve.YLabel}{(curve.Logarithmic ? " (log axis)" : "")} over {curve.XLabel}");
        if (curve.Smooth) caption.Append($"; faint: every value, line: mean of the {Span(points)} values around");
        if (missing > 0) caption.Append($"; left out: {missing} not finite{(curve.Logarithmic ? " or not above 0" : "")}");
        html.Leaf("figcaption", caption.Append('.').ToString());
    }

    private static void Draw(HtmlWriter html, Curve curve, List<CurvePoint> points)
    {
        var levels = curve.Levels.Where(l => Shown(new CurvePoint(0, l.Value), curve.Logarithmic)).ToList();
        var smooth = curve.Smooth ? CurveShaping.Smooth(points, Span(points)) : [];
        var (low, high) = Range(points, curve);
        foreach (var (_, value) in levels) (low, high) = (Math.Min(low, value), Math.Max(high, value));
        var x = new Axis(points[0].X, points[^1].X, Left, Width - Right, false, 6, round: false);
        var y = new Axis(low, high, Height - Bottom, Top, curve.Logarithmic);

        using var svg = html.Open("svg", ("xmlns", "http://www.w3.org/2000/svg"), ("viewBox", $"0 0 {Width} {Height}"), ("role", "img"),
            ("aria-label", $"{curve.Name}: {curve.YLabel} over {curve.XLabel}"));
        foreach (var tick in y.Ticks)
        {
            Line(html, "grid", Left, y.At(tick), Width - Right, y.At(tick));
            Text(html, "tick end", Left - 8, y.At(tick) + 3.5, Format.Tick(Rounded(tick)));
        }
        foreach (var tick in x.Ticks)
        {
            Line(html, "mark", x.At(tick), Height - Bottom, x.At(tick), Height - Bottom + 4);
            Text(html, "tick middle", x.At(tick), Height - Bottom + 17, Format.Tick(Rounded(tick)));
        }
        Line(html, "axis", Left, Height - Bottom, Width - Right, Height - Bottom);
        Text(html, "label middle", (Left + Width - Right) / 2, Height - 5, curve.XLabel);
        var labelled = double.NegativeInfinity;
        foreach (var (label, value) in levels.OrderByDescending(l => l.Value))
        {
            var at = y.At(value);
            Line(html, "level", Left, at, Width - Right, at);
            var text = Math.Max(at - 5, labelled + 13); // levels near each other must not print on each other
            Text(html, "level-label end", Width - Right, text, label);
            labelled = text;
        }
        // Raw values beyond the axis (a spike of the first steps) run out of the plot and are clipped there.
        var clip = "clip" + Math.Abs(Hash(curve.Name));
        using (html.Open("clipPath", ("id", clip)))
            html.Empty("rect", ("x", Format.Coordinate(Left)), ("y", Format.Coordinate(Top - 4)),
                ("width", Format.Coordinate(Width - Left - Right + 4)), ("height", Format.Coordinate(Height - Bottom - Top + 4)));
        using (html.Open("g", ("clip-path", $"url(#{clip})")))
        {
            if (curve.Smooth) Path(html, "raw", CurveShaping.Thin(points, 300), x, y);
            Path(html, "line", CurveShaping.Thin(curve.Smooth ? smooth : points, 300), x, y);
            if (!curve.Smooth && points.Count <= 60)
                foreach (var p in points) Dot(html, x.At(p.X), y.At(p.Y), 2.6);
            Dot(html, x.At(points[^1].X), y.At(Last(curve, points)), 3.6);
        }
    }

    // A few wild first values must not flatten the rest: a smoothed chart spans the 0.5th to the 99.5th percentile.
    private static (double Low, double High) Range(List<CurvePoint> points, Curve curve)
    {
        var sorted = points.Select(p => p.Y).Order().ToArray();
        var cut = curve.Smooth ? sorted.Length / 200 : 0;
        return (sorted[cut], sorted[^(cut + 1)]);
    }

    private static bool Shown(CurvePoint p, bool logarithmic) => double.IsFinite(p.X) && double.IsFinite(p.Y) && (!logarithmic || p.Y > 0);

    private static int Span(List<CurvePoint> points) => Math.Max(1, points.Count / 60);

    private static double Last(Curve curve, List<CurvePoint> points) => curve.Smooth ? CurveShaping.Smooth(points, Span(points))[^1].Y : points[^1].Y;

    private static double Rounded(double value) =>
        value == 0 ? 0 : Math.Abs(value) is var size && Math.Pow(10, 3 - Math.Floor(Math.Log10(size))) is var scale ? Math.Round(value * scale) / scale : value;

    private static int Hash(string text) // FNV-1a; string.GetHashCode differs from run to run
    {
        var hash = 2166136261u;
        foreach (var c in text) hash = (hash ^ c) * 16777619u;
        return (int)(hash >> 1);
    }

    private static void Path(HtmlWriter html, string style, IReadOnlyList<CurvePoint> points, Axis x, Axis y)
    {
        var d = new StringBuilder();
        foreach (var p in points)
            d.Append(d.Length == 0 ? 'M' : 'L').Append(Format.Coordinate(x.At(p.X))).Append(' ').Append(Format.Coordinate(y.At(p.Y)));
        html.Empty("path", ("class", style), ("d", d.ToString()));
    }

    private static void Line(HtmlWriter html, string style, double x1, double y1, double x2, double y2) => html.Empty("line", ("class", style),
        ("x1", Format.Coordinate(x1)), ("y1", Format.Coordinate(y1)), ("x2", Format.Coordinate(x2)), ("y2", Format.Coordinate(y2)));

    private static void Dot(HtmlWriter html, double x, double y, double radius) => html.Empty("circle", ("class", "dot"),
        ("cx", Format.Coordinate(x)), ("cy", Format.Coordinate(y)), ("r", Format.Coordinate(radius)));

    private static void Text(HtmlWriter html, string style, double x, double y, string text) =>
        html.Leaf("text", text, ("class", style), ("x", Format.Coordinate(x)), ("y", Format.Coordinate(y)));
}
