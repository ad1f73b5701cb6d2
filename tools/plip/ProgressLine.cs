using System.Globalization;
using Plip.Training;
using Spectre.Console;

namespace Plip.Tool;

/// <summary>
/// Training's progress: on a terminal a bar with losses, pictures a second and time to go, redrawn in place; elsewhere a
/// line now and then, so that a log stays readable.
/// </summary>
internal sealed class ProgressLine : IDisposable
{
    private const int BarWidth = 24;

    private readonly bool _terminal = !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;
    private long _nextDraw;
    private bool _drawn;

    public void Show(TrainingProgress p)
    {
        // Ten redraws a second on a terminal; fifty lines a run in a log.
        var now = Environment.TickCount64;
        if (_terminal ? now < _nextDraw && p.Step < p.TotalSteps : p.Step % Math.Max(1, p.TotalSteps / 50) != 0 && p.Step != p.TotalSteps) return;
        _nextDraw = now + 100;
        var losses = string.Join(' ', p.TaskLosses.Select(t => string.Create(CultureInfo.InvariantCulture, $"{t.Key} {t.Value:0.000}")));
        var figures = string.Create(
            CultureInfo.InvariantCulture,
            $"{p.Step}/{p.TotalSteps}  {losses}  {p.ImagesPerSecond:0} img/s  {(p.Refused > 0 ? $"refused {p.Refused}, loss scale {p.LossScale:0}  " : "")}{(p.Validation is { } v ? $"val R@1 {100 * v.R1:0.0} mAP {100 * v.Map:0.0}  " : "")}ETA {Time(p.Remaining)}");
        if (!_terminal)
        {
            Console.Out.WriteLine(figures);
            return;
        }
        var filled = (int)(BarWidth * p.Step / p.TotalSteps);
        AnsiConsole.Markup($"\r[green]{new string('━', filled)}[/][grey]{new string('─', BarWidth - filled)}[/] {Markup.Escape(figures)}\u001b[K");
        _drawn = true;
    }

    /// <summary>Leaves the bar as it stands and goes to the next line.</summary>
    public void End()
    {
        if (_drawn) Console.Out.WriteLine();
        _drawn = false;
    }

    public void Dispose() => End();

    private static string Time(TimeSpan t) => t.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)t.TotalHours}:{t.Minutes:00}:{t.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{t.Minutes}:{t.Seconds:00}");
}
