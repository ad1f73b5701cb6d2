using System.Runtime.InteropServices;
using static Plip.Engine.DriverApi;

namespace Plip.Engine;

/// <summary>
/// The kernels a device has loaded. A launch finds its kernel by file, name and constants without making a string; the
/// first time it is loaded from the cache on disk or compiled, and a file is compiled once for all its kernels.
/// </summary>
internal sealed unsafe class KernelTable(Func<KernelCompiler> makeCompiler, KernelCache cache)
{
    // Compiled code serves every device of the process; one compilation at a time, so that two threads do not do the same one.
    private static readonly Dictionary<string, byte[]> s_images = new(StringComparer.Ordinal);
    private static readonly Lock s_compiling = new();

    private readonly Dictionary<int, Kernel> _kernels = []; // by hash; those of one hash are chained
    private readonly Dictionary<string, nint> _modules = new(StringComparer.Ordinal);
    private KernelCompiler? _compiler;

    /// <summary>Kernel files that were compiled, not found in memory or on disk.</summary>
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
        var module = Module(file, options);
        nint function;
        var result = cuModuleGetFunction(&function, module, name);
        if (result != Success) throw new CudaException($"kernels/{file}.cu has no kernel extern \"C\" {name}; correct the name at the launch", result);
        return new Kernel(file, name, defines.ToArray(), function, next);
    }

    private nint Module(string file, string[] options)
    {
        var key = (_compiler ??= makeCompiler()).Key(file, options);
        if (_modules.TryGetValue(key, out var module)) return module;
        lock (s_compiling)
        {
            if (s_images.TryGetValue(key, out var known) && TryLoad(known, out module)) return _modules[key] = module;
            if (cache.Read(key) is { } kept && TryLoad(kept, out module))
            {
                s_images[key] = kept;
                return _modules[key] = module;
            }
            var image = _compiler.Compile(file, options);
            Compilations++;
            cache.Write(key, image);
            s_images[key] = image;
            fixed (byte* at = image) Cuda.Check(cuModuleLoadDataEx(&module, at, 0, null, null));
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
internal sealed class Kernel(string file, string name, Define[] defines, nint function, Kernel? next)
{
    public nint Function { get; } = function;

    /// <summary>Another kernel of the same hash.</summary>
    public Kernel? Next { get; } = next;

    public string Name { get; } = name;

    /// <summary>Dynamic shared memory it may have without asking; the first launch that wants more asks.</summary>
    public int SharedAllowed { get; set; } = 48 << 10;

    public bool Is(string itsFile, string itsName, ReadOnlySpan<Define> itsDefines) =>
        Name == itsName && file == itsFile && itsDefines.SequenceEqual(defines);
}
