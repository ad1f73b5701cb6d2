using System.CommandLine;
using System.Globalization;
using Plip.Configs;
using Plip.Evaluation;
using Spectre.Console;

namespace Plip.Tool;

/// <summary>What <c>plip embed</c> and <c>plip eval retrieval</c> share: batch, precision, and how far they are.</summary>
internal static class EmbeddingOptions
{
    public static Option<int> Batch() => new("--batch")
    {
        Description = $"Pictures at once, and {Embedder.TextsPerPicture} times as many texts. Another batch gives other last bits; the same one the same bits, on any number of threads.",
        DefaultValueFactory = _ => Embedder.DefaultBatch,
    };

    public static Option<Precision> Precision() => new("--precision")
    {
        Description = "Storage of activations and matrices: F32, BF16 or F16; sums and the embeddings are F32 always.",
        DefaultValueFactory = _ => Configs.Precision.F32,
    };

    /// <summary>The batch, or exit 2.</summary>
    public static int Checked(int batch) => Options.Range(batch, 1, 65536, "--batch");
}

/// <summary>Progress of a long embedding: redrawn in place on a terminal; elsewhere a line a minute, so that a short run prints none.</summary>
internal sealed class EmbeddingLine : IDisposable
{
    private readonly bool _terminal = !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;
    private string _what = "";
    private long _began, _next;
    private bool _drawn;

    public void Show(EmbeddingProgress p)
    {
        var now = Environment.TickCount64;
        if (p.What != _what)
        {
            Dispose();
            (_what, _began, _next) = (p.What, now, now + (_terminal ? 1000 : 60_000));
        }
        if (now < _next) return;
        _next = now + (_terminal ? 200 : 60_000);
        var rate = p.Done / Math.Max(1e-3, (now - _began) / 1000.0);
        var line = string.Create(CultureInfo.InvariantCulture, $"{p.What} {p.Done}/{p.Total}  {rate:0} a second  ETA {TimeSpan.FromSeconds(Math.Min(1e8, (p.Total - p.Done) / rate)):d\\.hh\\:mm\\:ss}");
        if (_terminal) Console.Out.Write($"\r{line}\u001b[K");
        else Console.Out.WriteLine(line);
        _drawn = _terminal;
    }

    public void Dispose()
    {
        if (_drawn) Console.Out.Write("\r\u001b[K");
        _drawn = false;
    }
}
