namespace Plip.Data;

/// <summary>
/// User data that cannot be used: one exception that names the file, the place in it, what was found and what was
/// expected. Misuse of the API throws <see cref="ArgumentException"/> instead.
/// </summary>
public sealed class DataException : Exception
{
    /// <summary>Makes the exception; the message reads "file (place): found. Expected expected."</summary>
    /// <param name="file">The file or folder at fault.</param>
    /// <param name="place">Where in it or which entry points to it ("entry 12, line 40, byte 7"); null for the whole file.</param>
    /// <param name="found">What is wrong, without a final full stop.</param>
    /// <param name="expected">What was expected and, where it helps, what to do; without a final full stop.</param>
    /// <param name="inner">The cause, if another exception told.</param>
    public DataException(string file, string? place, string found, string expected, Exception? inner = null)
        : base($"{file}{(place is null ? "" : $" ({place})")}: {found}. Expected {expected}.", inner)
    {
        File = file;
        Place = place;
        Found = found;
        Expected = expected;
    }

    /// <summary>The file or folder at fault.</summary>
    public string File { get; }

    /// <summary>Where in the file, or which entry points to it; null for the whole file.</summary>
    public string? Place { get; }

    /// <summary>What is wrong.</summary>
    public string Found { get; }

    /// <summary>What was expected.</summary>
    public string Expected { get; }

    /// <summary>The same error with the place filled in, for a caller who knows which entry points to the file.</summary>
    public DataException At(string place) => new(File, place, Found, Expected, this);
}
