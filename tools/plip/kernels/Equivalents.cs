namespace Plip.Tool;

/// <summary>
/// Barriers and waits that may be taken out without a difference, each with its reason: kernels/emulator/equivalents.txt, a line each,
/// <c>file: function: ordinal: reason</c>. Lines that begin with # are for readers.
/// </summary>
internal static class Equivalents
{
    /// <summary>Name and reason.</summary>
    /// <exception cref="InvalidDataException">A line is not of that form, or one stands twice.</exception>
    public static Dictionary<string, string> Read(string path)
    {
        var read = new Dictionary<string, string>(StringComparer.Ordinal);
        var number = 0;
        foreach (var line in File.ReadLines(path))
        {
            number++;
            if (line.Trim().Length == 0 || line.StartsWith('#')) continue;
            if (line.Split(": ", 4) is not [var file, var function, var ordinal, var reason] || reason.Trim().Length == 0)
                throw new InvalidDataException($"{path}, line {number}: expected \"file: function: ordinal: reason\", got \"{line}\"");
            if (!read.TryAdd($"{file}: {function}: {ordinal}", reason))
                throw new InvalidDataException($"{path}, line {number}: {file}: {function}: {ordinal} stands there already");
        }
        return read;
    }
}
