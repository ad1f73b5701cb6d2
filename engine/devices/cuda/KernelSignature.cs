using System.Text;

namespace Plip.Engine;

/// <summary>
/// What a kernel takes, read from its source. The driver copies whatever bytes it is handed: an int where the kernel has an i64, or BF16 where
/// it has float, would be garbage without a word. Each launch is held against this instead.
/// </summary>
internal sealed class KernelSignature
{
    private readonly Parameter[] _parameters;
    private readonly string _kernel;

    private KernelSignature(string kernel, Parameter[] parameters) => (_kernel, _parameters) = (kernel, parameters);

    /// <summary>Reads it; the signature must stand in the text, not come out of a macro.</summary>
    /// <param name="source">The file's text.</param>
    /// <param name="kernel">The kernel's name.</param>
    /// <param name="defines">The constants it is compiled with: they may name types.</param>
    /// <exception cref="CudaException">There is no such kernel, or it takes something that no launch hands over.</exception>
    public static KernelSignature Read(string source, string kernel, ReadOnlySpan<Define> defines)
    {
        var text = WithoutComments(source);
        var types = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var d in defines) types[d.Name] = d.Value;
        foreach (var statement in text.Split(';'))
            if (Words(statement) is [.., "typedef", var from, var to]) types[to] = from;
        for (var at = text.IndexOf("__global__", StringComparison.Ordinal); at >= 0; at = text.IndexOf("__global__", at + 1, StringComparison.Ordinal))
        {
            var open = text.IndexOf(kernel + "(", at, StringComparison.Ordinal);
            var body = text.IndexOf('{', at);
            if (open < 0 || open > body || char.IsLetterOrDigit(text[open - 1]) || text[open - 1] == '_') continue;
            var inside = text[(open + kernel.Length + 1)..text.IndexOf(')', open)];
            return new KernelSignature(kernel, [.. inside.Split(',').Where(p => p.Trim().Length > 0).Select(p => Parse(kernel, p, types))]);
        }
        throw new CudaException($"there is no kernel extern \"C\" __global__ void {kernel}(…) in its file; correct the name at the launch");
    }

    /// <summary>Holds a launch's arguments against it.</summary>
    /// <exception cref="InvalidOperationException">One is of another type, or they are not as many.</exception>
    public void Check(ReadOnlySpan<KernelArgument> arguments)
    {
        if (arguments.Length != _parameters.Length)
            throw new InvalidOperationException($"{_kernel} takes {_parameters.Length} arguments, got {arguments.Length}");
        for (var i = 0; i < arguments.Length; i++)
        {
            var (p, a) = (_parameters[i], arguments[i]);
            if (!a.Fits(p.Type, p.IsPointer))
                throw new InvalidOperationException($"{_kernel}: {p.Name} is {(p.IsPointer ? $"a pointer to {p.Type}" : p.Type?.ToString() ?? "tensor maps")}, got {a}; convert with Ops.Cast, or correct the launch");
        }
    }

    private static Parameter Parse(string kernel, string declaration, Dictionary<string, string> types)
    {
        var words = Words(declaration).Where(w => w is not ("const" or "__restrict__" or "__grid_constant__")).ToArray();
        var type = words[0];
        for (var depth = 0; depth < 4 && types.TryGetValue(type, out var known); depth++) type = known;
        return new Parameter(words[^1], declaration.Contains('*', StringComparison.Ordinal), type switch
        {
            "float" => DType.F32,
            "bf16" => DType.BF16,
            "half" => DType.F16,
            "int" or "i32" => DType.I32,
            "i64" => DType.I64,
            "u8" => DType.U8,
            "TensorMaps" => null,
            _ => throw new CudaException($"{kernel}: its parameter \"{declaration.Trim()}\" is of a type no tensor or number has (float, bf16, half, int, i64, u8, TensorMaps)"),
        });
    }

    private static string[] Words(string text) => text.Split([' ', '\n', '\r', '\t', '*'], StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The text with the rest of a line from // on left out; lines stay where they are.</summary>
    internal static string WithoutComments(string source)
    {
        var text = new StringBuilder(source.Length);
        foreach (var line in source.Split('\n'))
        {
            var end = line.IndexOf("//", StringComparison.Ordinal);
            text.Append(end < 0 ? line : line.AsSpan(0, end)).Append('\n');
        }
        return text.ToString();
    }

    private readonly record struct Parameter(string Name, bool IsPointer, DType? Type);
}
