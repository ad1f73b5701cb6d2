namespace Plip.Engine;

/// <summary>A file that is not what it should be: names the file, the place in it, and what was expected there.</summary>
public class FileFormatException : FormatException
{
    /// <summary>"path: place: problem".</summary>
    /// <param name="place">An entry or a part of the file; "" for the file as a whole.</param>
    public FileFormatException(string path, string place, string problem, Exception? inner = null)
        : base(place.Length == 0 ? $"{path}: {problem}" : $"{path}: {place}: {problem}", inner) => (Path, Place, Problem) = (path, place, problem);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The entry or part; "" for the file as a whole.</summary>
    public string Place { get; }

    /// <summary>What is wrong, without file and place.</summary>
    public string Problem { get; }
}
