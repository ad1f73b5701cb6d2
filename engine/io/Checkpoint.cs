using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Plip.Engine;

/// <summary>
/// A moment of training in one safetensors file, "step-00001234.safetensors": tensors under prefixes such as "model.",
/// "optimizer.", "ema.", strings (configuration, vocabulary, trainer state) in its metadata, and there a SHA-256 over the
/// whole file, counted with zeros in its own place. Other programs read it as plain safetensors.
/// </summary>
/// <remarks>Writing is <see cref="Save"/>, in Checkpoint.Save.cs.</remarks>
public sealed partial class Checkpoint : IDisposable
{
    /// <summary>The version this program writes, and the only one it reads.</summary>
    public const string FormatVersion = "1";

    private const string VersionKey = "format_version", StepKey = "step", HashKey = "sha256", FrameworkKey = "format";
    private const string FilePrefix = "step-", FileSuffix = ".safetensors";
    private const int HashLength = 64;

    private static readonly string[] s_ownKeys = [VersionKey, StepKey, HashKey, FrameworkKey];

    private readonly SafeTensors _file;

    private Checkpoint(SafeTensors file, long step)
    {
        (_file, Step) = (file, step);
        Metadata = file.Metadata.Where(m => !s_ownKeys.Contains(m.Key)).ToDictionary(m => m.Key, m => m.Value, StringComparer.Ordinal);
    }

    /// <summary>The file that was opened.</summary>
    public string Path => _file.Path;

    /// <summary>The step it was saved at.</summary>
    public long Step { get; }

    /// <summary>All tensors; <c>Tensors.Under("model.")</c> is what a store loads. They read from the file, so keep it open.</summary>
    public StateDict Tensors => _file.Tensors;

    /// <summary>The caller's strings.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a checkpoint and checks every byte of it against its SHA-256.</summary>
    /// <param name="path">A file, or a directory of which the newest valid checkpoint is taken.</param>
    /// <param name="warn">Told of damaged newer checkpoints that were passed over; null writes to standard error.</param>
    /// <exception cref="FileNotFoundException">No file, no directory, or no checkpoint in it.</exception>
    /// <exception cref="FileFormatException">Damaged, no checkpoint, or of another version; in a directory: all are.</exception>
    public static Checkpoint Open(string path, Action<string>? warn = null)
    {
        if (!Directory.Exists(path)) return OpenFile(path);
        FileFormatException? newest = null;
        var found = Files(path);
        foreach (var (step, file) in found)
        {
            try
            {
                var checkpoint = OpenFile(file);
                if (newest != null) (warn ?? Console.Error.WriteLine)($"{newest.Message} Continuing from the older {file}.");
                return checkpoint;
            }
            catch (FileFormatException e)
            {
                if (newest != null) (warn ?? Console.Error.WriteLine)(newest.Message);
                newest = e;
            }
        }
        throw newest != null
            ? new FileFormatException(path, "", string.Create(CultureInfo.InvariantCulture, $"none of its {found.Count} checkpoints can be read; the last one tried: {newest.Message}"), newest)
            : new FileNotFoundException($"{path}: holds no checkpoint (files named {FilePrefix}<number>{FileSuffix}); name another directory, or start without resuming", path);
    }

    /// <summary>Whether a safetensors file says that it is a checkpoint of this program, of whatever version.</summary>
    internal static bool IsOne(SafeTensors file) => file.Metadata.ContainsKey(VersionKey);

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private static Checkpoint OpenFile(string path)
    {
        var file = SafeTensors.Open(path);
        try
        {
            if (!file.Metadata.TryGetValue(VersionKey, out var version))
                throw new FileFormatException(path, "", "is a safetensors file but no checkpoint of this program: its metadata lacks format_version. Load plain weights with SafeTensors.Open.");
            if (version != FormatVersion)
                throw new FileFormatException(path, VersionKey, $"is \"{version}\", this program reads \"{FormatVersion}\". Open it with the version that wrote it.");
            if (!file.Metadata.TryGetValue(StepKey, out var text) || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var step))
                throw new FileFormatException(path, StepKey, "is no whole number; the file is damaged. Restore a copy, or continue from an older checkpoint.");
            RequireHash(file);
            return new Checkpoint(file, step);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static void RequireHash(SafeTensors file)
    {
        if (!file.Header.MetadataPlaces.TryGetValue(HashKey, out var place) || place.Length != HashLength + 2)
            throw new FileFormatException(file.Path, HashKey, "is no SHA-256; the file is damaged. Restore a copy, or continue from an older checkpoint.");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var piece = new byte[1 << 20];
        var length = RandomAccess.GetLength(file.File);
        for (long at = 0; at < length; at += piece.Length)
        {
            var span = piece.AsSpan(0, (int)Math.Min(piece.Length, length - at));
            SafeTensors.Fill(file.Path, file.File, at, span);
            Blank(span, at, place.Start + 1);
            hash.AppendData(span);
        }
        if (Convert.ToHexStringLower(hash.GetHashAndReset()) != file.Metadata[HashKey])
            throw new FileFormatException(file.Path, "", "its bytes do not match its SHA-256; it was damaged after it was written. Restore a copy, or continue from an older checkpoint.");
    }

    /// <summary>Puts '0' where the hash stands, as far as this piece of the file holds it.</summary>
    private static void Blank(Span<byte> piece, long at, long hashStart)
    {
        var from = Math.Max(hashStart, at);
        var to = Math.Min(hashStart + HashLength, at + piece.Length);
        if (from < to) piece[(int)(from - at)..(int)(to - at)].Fill((byte)'0');
    }

    /// <summary>The checkpoints of a directory, newest first.</summary>
    private static List<(long Step, string Path)> Files(string directory)
    {
        var found = new List<(long Step, string Path)>();
        foreach (var path in Directory.EnumerateFiles(directory, $"{FilePrefix}*{FileSuffix}"))
        {
            var digits = System.IO.Path.GetFileName(path)[FilePrefix.Length..^FileSuffix.Length];
            if (long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var step)) found.Add((step, path));
        }
        found.Sort((a, b) => b.Step.CompareTo(a.Step));
        return found;
    }
}
