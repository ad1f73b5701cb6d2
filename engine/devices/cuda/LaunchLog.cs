using System.Text;

namespace Plip.Engine;

/// <summary>
/// The latest launches. A kernel that fails does so after its launch has returned, and the driver does not say which it
/// was: the last ones before the error are the candidates.
/// </summary>
internal sealed class LaunchLog
{
    private const int Kept = 16, ArgumentsKept = 16, Shown = 4;

    private readonly (string Kernel, Launch? Shape, int Arguments)[] _entries = new (string, Launch?, int)[Kept];
    private readonly KernelArgument[] _arguments = new KernelArgument[Kept * ArgumentsKept];
    private long _count, _finished;

    /// <summary>Notes a launch.</summary>
    public void Add(string kernel, in Launch shape, ReadOnlySpan<KernelArgument> arguments)
    {
        var slot = (int)(_count++ % Kept);
        var kept = Math.Min(arguments.Length, ArgumentsKept);
        _entries[slot] = (kernel, shape, arguments.Length);
        arguments[..kept].CopyTo(_arguments.AsSpan(slot * ArgumentsKept));
    }

    /// <summary>Notes a replay, of which the driver says no more than that it failed.</summary>
    /// <param name="graph">What it launches.</param>
    public void Add(string graph) => _entries[(int)(_count++ % Kept)] = (graph, null, 0);

    /// <summary>Everything so far has ended well.</summary>
    public void Finished() => _finished = _count;

    /// <summary>The launches that may have failed, the latest first.</summary>
    public string Describe(bool synchronous)
    {
        var open = (int)Math.Min(_count - _finished, Kept);
        if (open == 0) return "; no kernel was under way";
        var text = new StringBuilder();
        var replay = false;
        for (var i = 1; i <= open; i++) replay |= _entries[(int)((_count - i) % Kept)].Shape == null;
        text.Append(open == 1 && !replay
            ? "; look at this kernel's bounds and arguments:"
            : $"; one of {(replay || _count - _finished > Kept ? "many" : open)} kernels under way failed{(synchronous ? "" : ", run again with PLIP_CUDA_SYNC=1 to know which")}. The latest:");
        for (var i = 1; i <= Math.Min(open, Shown); i++)
        {
            var slot = (int)((_count - i) % Kept);
            var (kernel, shape, arguments) = _entries[slot];
            if (shape == null)
            {
                text.Append($"\n  {kernel}");
                continue;
            }
            text.Append($"\n  {kernel}: {shape}; arguments (");
            for (var k = 0; k < Math.Min(arguments, ArgumentsKept); k++) text.Append(k == 0 ? "" : ", ").Append(_arguments[slot * ArgumentsKept + k]);
            text.Append(arguments > ArgumentsKept ? ", …)" : ")");
        }
        return text.ToString();
    }
}
