using System.Globalization;
using System.Text;

namespace Plip.Engine;

public sealed partial class Checkpoint
{
    /// <summary>
    /// Writes a checkpoint and then deletes the oldest beyond <paramref name="keep"/>. It is on the disk when this returns; a
    /// process killed at any moment leaves the earlier ones as they were.
    /// </summary>
    /// <param name="directory">Such as "checkpoints/last"; made if need be. One writer at a time.</param>
    /// <param name="step">Goes into the file's name; the highest is the newest.</param>
    /// <param name="tensors">Everything, with prefixes.</param>
    /// <param name="metadata">Strings to keep with it.</param>
    /// <param name="keep">How many checkpoints may stay, this one included.</param>
    /// <param name="warn">Told of files of higher steps that were set aside; null writes to standard error.</param>
    /// <returns>The file's path.</returns>
    /// <remarks>
    /// Files of higher steps come from a run that went on after the point at which this one resumed; they would be taken
    /// for newer, so ".superseded" is appended to their names.
    /// </remarks>
    /// <exception cref="ArgumentException">A negative step, keep below 1, or a metadata key that the format uses.</exception>
    /// <exception cref="CheckpointWriteException">The disk is full, or the directory cannot be written; nothing was lost.</exception>
    public static string Save(
        string directory, long step, StateDict tensors, IReadOnlyDictionary<string, string>? metadata = null, int keep = 2, Action<string>? warn = null) =>
        Write(directory, step, tensors, metadata, keep, warn, null);

    /// <summary>As <see cref="Save"/>, with the way to open the temporary file.</summary>
    internal static string Write(
        string directory, long step, StateDict tensors, IReadOnlyDictionary<string, string>? metadata, int keep, Action<string>? warn, Func<string, Stream>? open)
    {
        if (step < 0) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"Checkpoint.Save: the step must be 0 or more, got {step}"));
        if (keep < 1) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"Checkpoint.Save: keep must be 1 or more, got {keep}"));
        var strings = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in metadata ?? new Dictionary<string, string>())
            strings.Add(key, s_ownKeys.Contains(key) ? throw new ArgumentException($"Checkpoint.Save: the metadata key \"{key}\" belongs to the format") : value);
        strings.Add(VersionKey, FormatVersion);
        strings.Add(StepKey, step.ToString(CultureInfo.InvariantCulture));
        strings.Add(HashKey, new string('0', HashLength));
        strings.Add(FrameworkKey, "pt"); // what other programs look for before they trust the names

        var path = System.IO.Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{FilePrefix}{step:D8}{FileSuffix}"));
        try
        {
            Directory.CreateDirectory(directory);
            // What a killed writer left: it is only in the way of space.
            foreach (var left in Directory.EnumerateFiles(directory, $"{FilePrefix}*{FileSuffix}{DurableFile.Temporary}")) File.Delete(left);
            DurableFile.Replace(path, stream => WriteHashed(stream, tensors, strings), open);
            SetAside(directory, step, warn);
            foreach (var (_, old) in Files(directory).Skip(keep)) File.Delete(old);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointWriteException(path, e);
        }
        return path;
    }

    private static void WriteHashed(Stream stream, StateDict tensors, Dictionary<string, string> strings)
    {
        string digest;
        using (var hashing = new HashingStream(stream))
        {
            SafeTensorsWriter.Write(hashing, tensors, strings);
            digest = hashing.Digest();
        }
        // The header is read back for the place of the zeros: only the parser knows where a value stands.
        stream.Flush();
        var header = SafeTensorsHeader.Read("", stream.Length, (at, to) =>
        {
            stream.Position = at;
            stream.ReadExactly(to);
        });
        stream.Position = header.MetadataPlaces[HashKey].Start + 1;
        stream.Write(Encoding.ASCII.GetBytes(digest));
    }

    private static void SetAside(string directory, long step, Action<string>? warn)
    {
        foreach (var (later, path) in Files(directory))
        {
            if (later <= step) break;
            File.Move(path, path + ".superseded", overwrite: true);
            (warn ?? Console.Error.WriteLine)($"{path}: is of a later step than the {step.ToString(CultureInfo.InvariantCulture)} just saved, so it is of an abandoned run; renamed to end in .superseded");
        }
    }
}

/// <summary>A checkpoint that could not be written; earlier ones are untouched.</summary>
public sealed class CheckpointWriteException(string path, Exception inner) : IOException(
    $"{path}: could not be written ({inner.Message}). Earlier checkpoints are untouched. Free space on that disk, or name another directory, and save again.", inner)
{
    /// <summary>The file that was to be.</summary>
    public string Path { get; } = path;
}
