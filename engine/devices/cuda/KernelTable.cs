using System.Runtime.InteropServices;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// The kernels a device has loaded. A launch finds its kernel by file, name and constants without making a string; the
/// first time it is loaded from the cache on disk or compiled, and a file is compiled once for all its kernels.
/// </summary>
internal sealed unsafe class KernelTable(KernelSources sources, Func<KernelCompiler> makeCompiler, KernelCache cache)
{
    // One compilation at a time in a process: a second thread that wants the same kernel finds it in the cache afterwards.
    private static readonly Lock s_compiling = new();

    private readonly Dictionary<int, Kernel> _kernels = []; // by hash; those of one hash are chained
    private readonly Dictionary<string, nint> _modules = new(StringComparer.Ordinal);
    private KernelCompiler? _compiler;

    /// <summary>Kernel files that were compiled, not found on disk.</summary>
    public int Compilations { get; private set; }

    /// <summary>A loaded kernel.</summary>
    /// <exception cref="CudaCompileException">Its source does not compile.</exception>
    /// <exception cref="CudaException">The file has no such kernel.</exception>
    public Kernel Get(string file, string name, ReadOnlySpan<Define> defines)
    {
        var hash = Define.Cheap(file) * 31 + Define.Cheap(name);
        foreach (var d in defines) hash = hash * 31 + d.GetHashCode();
        ref var first = ref CollectionsMarshal.GetValueRefOrAddDefault(_kernels, hash, out _);
        for (var k = first; k != null; k = k.Next)
            if (k.Is(file, name, defines)) return k;
        var loaded = Load(file, name, defines, first);
        _kernels[hash] = loaded;
        return loaded;
    }

    /// <summary>Unloads all.</summary>
    public void Dispose()
    {
        foreach (var module in _modules.Values) _ = cuModuleUnload(module);
        _modules.Clear();
        _kernels.Clear();
    }

    private Kernel Load(string file, string name, ReadOnlySpan<Define> defines, Kernel? next)
    {
        var options = new string[defines.Length];
        for (var i = 0; i < options.Length; i++) options[i] = defines[i].ToString();
        var signature = KernelSignature.Read(sources.Text(file), name, defines);
        nint function;
        Cuda.Check(cuModuleGetFunction(&function, Module(file, options), name));
        return new Kernel(file, name, defines.ToArray(), signature, function, next);
    }

    private nint Module(string file, string[] options)
    {
        var key = (_compiler ??= makeCompiler()).Key(file, options);
        if (_modules.TryGetValue(key, out var module)) return module;
        lock (s_compiling)
        {
            if (cache.Read(key) is { } kept && TryLoad(kept, out module)) return _modules[key] = module;
            var image = _compiler.Compile(file, options);
            Compilations++;
            cache.Write(key, image);
            int result;
            fixed (byte* at = image) result = cuModuleLoadDataEx(&module, at, 0, null, null);
            if (result is InvalidImage or NoBinaryForGpu or UnsupportedPtx)
            {
                var (major, minor) = Cuda.CompilerVersion;
                throw new CudaVersionException(
                    $"the driver, of CUDA {Cuda.Version(Cuda.DriverVersion)}, does not take what NVRTC {major}.{minor} compiles ({Cuda.Describe(result)}); update NVIDIA's driver or install an NVRTC no newer than it", result);
            }
            Cuda.Check(result, nameof(cuModuleLoadDataEx));
            return _modules[key] = module;
        }
    }

    /// <summary>Code that the driver will not take is as good as none: it is compiled again.</summary>
    private static bool TryLoad(byte[] image, out nint module)
    {
        nint loaded;
        fixed (byte* at = image)
        {
            var done = cuModuleLoadDataEx(&loaded, at, 0, null, null) == Success;
            module = done ? loaded : 0;
            return done;
        }
    }
}

/// <summary>A kernel that can be launched.</summary>
internal sealed class Kernel(string file, string name, Define[] defines, KernelSignature signature, nint function, Kernel? next)
{
    public nint Function { get; } = function;

    /// <summary>Another kernel of the same hash.</summary>
    public Kernel? Next { get; } = next;

    public string Name { get; } = name;

    public KernelSignature Signature { get; } = signature;

    /// <summary>Dynamic shared memory it may have without asking; the first launch that wants more asks.</summary>
    public int SharedAllowed { get; set; } = 48 << 10;

    public bool Is(string itsFile, string itsName, ReadOnlySpan<Define> itsDefines) =>
        Name == itsName && file == itsFile && itsDefines.SequenceEqual(defines);
}
