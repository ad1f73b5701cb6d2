using System.Runtime.InteropServices;

namespace Plip.Engine;

/// <summary>
/// Finds the CUDA libraries of this machine, versions 11 to 13, and says what was tried. Nothing of a toolkit but libnvrtc and
/// libcublasLt is needed, and of those only what is used: an inference without products needs no cuBLAS.
/// </summary>
/// <remarks>
/// <c>PLIP_CUDA=emulator</c> takes all three from <c>libcuda_emulator.so</c> (kernels/emulator), found by <c>PLIP_CUDA_EMULATOR</c>,
/// a file or its folder, or beside the program; <c>PLIP_CUDA=off</c> finds nothing. <c>CUDA_VISIBLE_DEVICES</c> is the driver's own.
/// </remarks>
public sealed class CudaLibraries
{
    internal const string Driver = "cuda", Nvrtc = "nvrtc", CublasLt = "cublasLt";
    private const string EmulatorFile = "libcuda_emulator.so";

    private static readonly Lazy<CudaLibraries> s_current = new(() =>
    {
        var found = new CudaLibraries(Environment.GetEnvironmentVariable, LoadFile, OperatingSystem.IsWindows());
        NativeLibrary.SetDllImportResolver(typeof(CudaLibraries).Assembly, (name, _, _) => found.Resolve(name));
        return found;
    });

    private readonly Func<string, string?> _environment;
    private readonly Func<string, nint> _load;
    private readonly bool _windows;
    private readonly List<string> _trace = [];
    private readonly Dictionary<string, CudaLibrary?> _found = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();

    /// <summary>A finder over an environment and a loader, which gives 0 for what it cannot load.</summary>
    internal CudaLibraries(Func<string, string?> environment, Func<string, nint> load, bool windows)
    {
        (_environment, _load, _windows) = (environment, load, windows);
        Mode = environment("PLIP_CUDA") switch
        {
            null or "" or "auto" => "auto",
            "emulator" => "emulator",
            "off" => "off",
            var other => throw new CudaException($"PLIP_CUDA must be auto, emulator or off; it is \"{other}\""),
        };
        if (environment("CUDA_VISIBLE_DEVICES") is { } visible) _trace.Add($"CUDA_VISIBLE_DEVICES is \"{visible}\": the driver shows those devices alone");
    }

    /// <summary>What this process uses; found once, at the first use.</summary>
    /// <exception cref="CudaException">PLIP_CUDA has no such value.</exception>
    public static CudaLibraries Current => s_current.Value;

    /// <summary>auto, emulator or off.</summary>
    public string Mode { get; }

    /// <summary>True when kernels run on the CPU, by the emulator.</summary>
    public bool IsEmulator => Mode == "emulator";

    /// <summary>True when the emulator looks at every access of a kernel: <c>check</c> in PLIP_EMULATOR.</summary>
    internal bool IsChecking => IsEmulator && (_environment("PLIP_EMULATOR") ?? "").Split(',').Contains("check");

    /// <summary>The major CUDA version of the driver, once it is known: libraries of that version are tried first.</summary>
    internal int DriverMajor { get; set; } = 13;

    /// <summary>What was tried, in order, a line each.</summary>
    public IReadOnlyList<string> Trace
    {
        get
        {
            lock (_gate) return [.. _trace];
        }
    }

    /// <summary>A library, or null when it is nowhere: "cuda", "nvrtc" or "cublasLt".</summary>
    public CudaLibrary? Find(string library)
    {
        lock (_gate)
        {
            if (_found.TryGetValue(library, out var known)) return known;
            return _found[library] = Search(library);
        }
    }

    /// <summary>A library that must be there.</summary>
    /// <exception cref="CudaLibraryException">It is nowhere; the message lists what was tried.</exception>
    internal CudaLibrary Require(string library) => Find(library) ?? throw new CudaLibraryException(library, Mode, Trace);

    private nint Resolve(string name) => name is Driver or Nvrtc or CublasLt ? Require(name).Handle : 0;

    private CudaLibrary? Search(string library)
    {
        if (Mode == "off")
        {
            _trace.Add($"{library}: not looked for, PLIP_CUDA is off");
            return null;
        }
        foreach (var candidate in IsEmulator ? EmulatorPaths() : Candidates(library))
        {
            var byLoader = candidate.AsSpan().IndexOfAny('/', '\\') < 0;
            var handle = _load(candidate);
            _trace.Add($"{library}: {candidate}{(byLoader ? " by the system's loader" : "")}: {(handle != 0 ? "found" : "not there")}");
            if (handle != 0) return new CudaLibrary(library, candidate, handle);
        }
        return null;
    }

    private IEnumerable<string> EmulatorPaths()
    {
        if (_environment("PLIP_CUDA_EMULATOR") is { Length: > 0 } given)
        {
            yield return given.EndsWith(".so", StringComparison.Ordinal) ? given : Path.Combine(given, EmulatorFile);
            yield break;
        }
        yield return Path.Combine(AppContext.BaseDirectory, EmulatorFile);
        yield return EmulatorFile;
    }

    private IEnumerable<string> Candidates(string library)
    {
        var names = Names(library).ToArray();
        if (library != Driver)
            foreach (var folder in Folders())
                foreach (var name in names) yield return Path.Combine(folder, name);
        foreach (var name in names) yield return name;
    }

    /// <summary>The driver comes with the machine and only the system's loader knows it; the others may travel with the program or be a toolkit's.</summary>
    private IEnumerable<string> Folders()
    {
        yield return AppContext.BaseDirectory;
        foreach (var variable in (string[])["CUDA_PATH", "CUDA_HOME"])
        {
            if (_environment(variable) is not { Length: > 0 } root) continue;
            foreach (var sub in _windows ? (string[])["bin", "bin/x64"] : ["lib64", "lib", "targets/x86_64-linux/lib"]) yield return Path.Combine(root, sub);
        }
        if (!_windows) yield return "/usr/local/cuda/lib64";
    }

    /// <summary>File names, the driver's own version first, then older ones, which it runs too, then newer ones, which may not run.</summary>
    private IEnumerable<string> Names(string library)
    {
        if (library == Driver) return _windows ? ["nvcuda.dll"] : ["libcuda.so.1", "libcuda.so"];
        int[] versions = [.. Enumerable.Range(11, 3).OrderBy(v => v > DriverMajor).ThenByDescending(v => v)];
        return versions.SelectMany(v => (library, _windows) switch
        {
            (Nvrtc, true) => (string[])[v == 11 ? "nvrtc64_112_0.dll" : $"nvrtc64_{v}0_0.dll"],
            (Nvrtc, false) => v == 11 ? ["libnvrtc.so.11.2"] : [$"libnvrtc.so.{v}"],
            (_, true) => [$"cublasLt64_{v}.dll"],
            _ => [$"libcublasLt.so.{v}"],
        });
    }

    private static nint LoadFile(string path) =>
        (path.AsSpan().IndexOfAny('/', '\\') < 0 || File.Exists(path)) && NativeLibrary.TryLoad(path, out var handle) ? handle : 0;
}

/// <summary>A library that was loaded.</summary>
/// <param name="Name">"cuda", "nvrtc" or "cublasLt".</param>
/// <param name="Path">The file, or the bare name by which the system's loader found it.</param>
/// <param name="Handle">The loader's handle.</param>
public sealed record CudaLibrary(string Name, string Path, nint Handle)
{
    /// <summary>The file itself, where the system says which one it is.</summary>
    public string File
    {
        get
        {
            const string maps = "/proc/self/maps";
            if (Path.Contains('/') || !System.IO.File.Exists(maps)) return Path;
            // A soname is often a link to a longer name: libcuda.so.1 to libcuda.so.580.95.05.
            var stem = Path[..(Path.IndexOf(".so", StringComparison.Ordinal) + 3)];
            foreach (var line in System.IO.File.ReadLines(maps))
            {
                var at = line.IndexOf('/');
                if (at >= 0 && System.IO.Path.GetFileName(line[at..]).StartsWith(stem, StringComparison.Ordinal)) return line[at..];
            }
            return Path;
        }
    }
}
