using System.ComponentModel;
using System.Diagnostics;
using System.Security.Cryptography;
using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>The program on a CUDA driver that fails when it is told to (<c>faulty.cpp</c> over the emulator), as a process of its own.</summary>
internal static class FaultyDriver
{
    private const string Source = "tests/engine/devices/cuda/faults/faulty.cpp";
    private static readonly Lazy<string> s_library = new(Build);

    /// <summary>Runs <c>plip</c> with these arguments and this fault.</summary>
    /// <param name="fault">A word of faulty.cpp; null for none.</param>
    /// <param name="when">A file; the fault strikes once it exists.</param>
    public static (int Code, string Out, string Error) Run(string? fault, string? when, params string[] arguments) =>
        Run(fault, when, new Dictionary<string, string>(), arguments);

    /// <summary>The same with variables of its own.</summary>
    public static (int Code, string Out, string Error) Run(string? fault, string? when, IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        Assert.SkipUnless(CudaTest.IsEmulator, "faults are put over the emulator, and this machine has a GPU");
        using var process = Start(s_library.Value, fault, when, environment, arguments);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(300_000), "the program did not end");
        return (process.ExitCode, output, error.Result);
    }

    /// <summary>Starts <c>plip</c> on this library.</summary>
    public static Process Start(string library, string? fault, string? when, IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        var host = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        var start = new ProcessStartInfo(host, [Path.Combine(AppContext.BaseDirectory, "plip.dll"), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PLIP_CUDA"] = "emulator";
        start.Environment["PLIP_CUDA_EMULATOR"] = library;
        start.Environment["PLIP_CACHE"] = Path.Combine(Path.GetTempPath(), "plip-tests-faults");
        if (fault != null) start.Environment["PLIP_FAULT"] = fault;
        if (when != null) start.Environment["PLIP_FAULT_WHEN"] = when;
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    /// <summary>The emulator's file that this process uses.</summary>
    public static string Emulator => Path.GetFullPath(CudaLibraries.Current.Require(CudaLibraries.Driver).Path);

    /// <summary>A folder of the repository, found above the tests' own.</summary>
    public static string InRepository(string path)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
            if (Path.Combine(folder.FullName, path) is var found && (File.Exists(found) || Directory.Exists(found))) return found;
        Assert.Fail($"{path} is not above the tests' folder: run the tests where they were built");
        return "";
    }

    /// <summary>
    /// By g++, once for each text and emulator: the name is their hash, so that a second run finds it. The emulator is needed by it though
    /// no symbol says so: what faulty.cpp does not define is looked up there.
    /// </summary>
    private static string Build()
    {
        var source = InRepository(Source);
        var identity = SHA256.HashData([.. File.ReadAllBytes(source), .. System.Text.Encoding.UTF8.GetBytes(Emulator)]);
        var library = Path.Combine(Path.GetTempPath(), $"libplip-faulty-{Convert.ToHexStringLower(identity.AsSpan(0, 8))}.so");
        if (File.Exists(library)) return library;
        try
        {
            var part = $"{library}.{Environment.ProcessId}";
            using var build = Process.Start(new ProcessStartInfo(
                "g++", ["-shared", "-fPIC", "-O1", source, "-o", part, "-Wl,--no-as-needed", Emulator, $"-Wl,-rpath,{Path.GetDirectoryName(Emulator)}"])
            { RedirectStandardError = true })!;
            var said = build.StandardError.ReadToEnd();
            build.WaitForExit();
            Assert.True(build.ExitCode == 0, said);
            File.Move(part, library, overwrite: true);
            return library;
        }
        catch (Win32Exception e)
        {
            Assert.Fail($"g++, which builds the faulty driver, is missing: {e.Message}");
            return "";
        }
    }
}
