using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using static Plip.Engine.NvrtcApi;

namespace Plip.Engine;

/// <summary>From a kernel's source to code for one architecture, by NVRTC or by the emulator's compiler.</summary>
internal sealed unsafe class KernelCompiler
{
    private readonly KernelSources _sources;
    private readonly string _architecture;
    private readonly byte[] _identity;

    /// <summary>A compiler for devices of this compute capability, such as 90.</summary>
    /// <exception cref="CudaLibraryException">There is no NVRTC.</exception>
    /// <exception cref="CudaVersionException">NVRTC does not know such devices.</exception>
    public KernelCompiler(KernelSources sources, int capability)
    {
        _sources = sources;
        var library = CudaLibraries.Current.Require(CudaLibraries.Nvrtc);
        _architecture = string.Create(CultureInfo.InvariantCulture, $"sm_{Newest(capability)}");
        var (major, minor) = Cuda.CompilerVersion;
        // The emulator has no version of its own: another build of it, or checks in what it compiles, is another compiler.
        _identity = CudaLibraries.Current.IsEmulator
            ? [.. SHA256.HashData(File.ReadAllBytes(library.File)), CudaLibraries.Current.IsChecking ? (byte)1 : (byte)0]
            : Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"nvrtc {major}.{minor}"));
    }

    /// <summary>What code of this file with these constants is cached under: all that decides what the compiler makes of it.</summary>
    public string Key(string file, IReadOnlyList<string> defines)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(string text)
        {
            hash.AppendData(BitConverter.GetBytes(text.Length)); // so that "ab"+"c" is not "a"+"bc"
            hash.AppendData(Encoding.UTF8.GetBytes(text));
        }

        hash.AppendData(_identity);
        Add(file);
        Add(_sources.Text(file));
        foreach (var (name, text) in _sources.Headers)
        {
            Add(name);
            Add(text);
        }
        foreach (var option in Options(file, defines)) Add(option);
        return $"{file}-{Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 16))}";
    }

    /// <summary>Compiles it.</summary>
    /// <exception cref="CudaCompileException">It does not compile; the message shows the lines.</exception>
    public byte[] Compile(string file, IReadOnlyList<string> defines)
    {
        var options = Options(file, defines);
        using var text = new CStrings();
        byte** headerTexts = text.Array(_sources.Headers.Values), headerNames = text.Array(_sources.Headers.Keys);
        nint program;
        Check(nvrtcCreateProgram(&program, text.One(_sources.Text(file)), text.One(file + ".cu"), _sources.Headers.Count, headerTexts, headerNames), file);
        try
        {
            var result = nvrtcCompileProgram(program, options.Count, text.Array(options));
            if (result != 0) throw Failure(file, options, Log(program), result);
            nuint bytes;
            Check(nvrtcGetCUBINSize(program, &bytes), file);
            var image = new byte[bytes];
            fixed (byte* at = image) Check(nvrtcGetCUBIN(program, at), file);
            return image;
        }
        finally
        {
            _ = nvrtcDestroyProgram(&program);
        }
    }

    private List<string> Options(string file, IReadOnlyList<string> defines) => ["--std=c++17", $"--gpu-architecture={ArchitectureOf(file)}", "--generate-line-info", .. defines];

    /// <summary>A file that names an architecture is for that alone, with the instructions that no other has (sm_90a).</summary>
    private string ArchitectureOf(string file) =>
        KernelSources.ArchOf(_sources.Text(file)) is > 0 and var arch ? string.Create(CultureInfo.InvariantCulture, $"sm_{arch}a") : _architecture;

    /// <summary>Code of an older minor version runs on a newer one of the same major, so the newest known one will do.</summary>
    private static int Newest(int capability)
    {
        int count;
        Check(nvrtcGetNumSupportedArchs(&count), "");
        var known = new int[count];
        fixed (int* at = known) Check(nvrtcGetSupportedArchs(at), "");
        var best = known.Where(a => a / 10 == capability / 10 && a <= capability).DefaultIfEmpty(0).Max();
        if (best != 0) return best;
        var (major, minor) = Cuda.CompilerVersion;
        throw new CudaVersionException(
            $"NVRTC {major}.{minor} makes no code for this GPU (compute capability {capability / 10}.{capability % 10}); install the NVRTC of a newer CUDA, no newer than the driver's {Cuda.Version(Cuda.DriverVersion)}");
    }

    private static string Log(nint program)
    {
        nuint bytes;
        if (nvrtcGetProgramLogSize(program, &bytes) != 0 || bytes == 0) return "";
        var log = new byte[bytes];
        fixed (byte* at = log) _ = nvrtcGetProgramLog(program, at);
        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n', ' ');
    }

    private CudaCompileException Failure(string file, List<string> options, string log, int result)
    {
        if (result != CompilationFailed) return new CudaCompileException($"kernels/{file}.cu: NVRTC says {Cuda.Text(nvrtcGetErrorString(result))}; {log}", log, result);
        var message = new StringBuilder($"kernels/{file}.cu does not compile with {string.Join(' ', options)}; correct the kernel or the constants it is launched with:");
        foreach (var line in log.Split('\n'))
        {
            message.Append("\n  ").Append(line.TrimEnd());
            if (SourceOf(line) is { } source) message.Append("\n      > ").Append(source);
        }
        return new CudaCompileException(message.ToString(), log, result);
    }

    /// <summary>The source line that a message names, "file.cu(12): error" (NVRTC) or "file.cu:12:5: error" (g++); null when it names none.</summary>
    private string? SourceOf(string line)
    {
        foreach (var (name, text) in _sources.Headers.Concat(_sources.Files.Select(f => KeyValuePair.Create(f + ".cu", _sources.Text(f)))))
        {
            var at = line.IndexOf(name, StringComparison.Ordinal);
            var digits = at + name.Length + 1;
            if (at < 0 || digits >= line.Length || line[digits - 1] is not ('(' or ':')) continue;
            var end = digits;
            while (end < line.Length && char.IsAsciiDigit(line[end])) end++;
            if (!int.TryParse(line.AsSpan(digits, end - digits), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) continue;
            var lines = text.Split('\n');
            if (number >= 1 && number <= lines.Length) return lines[number - 1].Trim();
        }
        return null;
    }

    private static void Check(int result, string file)
    {
        if (result != 0) throw new CudaException($"NVRTC failed{(file.Length > 0 ? $" on kernels/{file}.cu" : "")}: {Cuda.Text(nvrtcGetErrorString(result))}; reinstall it", result);
    }

    /// <summary>Strings as C takes them, freed together.</summary>
    private sealed class CStrings : IDisposable
    {
        private readonly List<nint> _memory = [];

        public byte* One(string s)
        {
            var at = Marshal.StringToCoTaskMemUTF8(s);
            _memory.Add(at);
            return (byte*)at;
        }

        public byte** Array(IEnumerable<string> strings)
        {
            var all = strings.ToArray();
            var at = Marshal.AllocCoTaskMem(sizeof(byte*) * Math.Max(1, all.Length));
            _memory.Add(at);
            for (var i = 0; i < all.Length; i++) ((byte**)at)[i] = One(all[i]);
            return (byte**)at;
        }

        public void Dispose() => _memory.ForEach(Marshal.FreeCoTaskMem);
    }
}
