namespace Plip.Tests.Engine;

/// <summary>A directory of a test's own, deleted with it.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("plip-io-").FullName;

    public static string operator /(TemporaryDirectory directory, string name) => System.IO.Path.Combine(directory.Path, name);

    public string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(this / name, bytes);
        return this / name;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
