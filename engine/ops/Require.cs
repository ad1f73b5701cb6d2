using System.Globalization;
using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Checks of an op's arguments; each error names the op, what it got and what it expected.</summary>
internal static class Require
{
    public static void That(bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] Message expected, [CallerMemberName] string op = "")
    {
        if (!condition) throw new ArgumentException($"{op}: {expected.Text}");
    }

    /// <summary>A message that is put together only when its condition failed: these checks run thousands of times a step.</summary>
    [InterpolatedStringHandler]
    public ref struct Message
    {
        private readonly bool _written;
        private DefaultInterpolatedStringHandler _text;

        public Message(int literals, int holes, bool condition, out bool write)
        {
            write = _written = !condition;
            if (write) _text = new DefaultInterpolatedStringHandler(literals, holes, CultureInfo.InvariantCulture);
        }

        public string Text => _written ? _text.ToString() : "";

        public void AppendLiteral(string value) => _text.AppendLiteral(value);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);
    }

    public static void That(bool condition, string expected, [CallerMemberName] string op = "")
    {
        if (!condition) throw new ArgumentException($"{op}: {expected}");
    }

    public static void SameShape(Tensor a, Tensor b, [CallerMemberName] string op = "")
    {
        if (a.Shape != b.Shape) throw new ArgumentException($"{op}: expected equal shapes, got {a.Shape} and {b.Shape}");
    }

    public static void Rank(Tensor x, int rank, string axes, [CallerMemberName] string op = "")
    {
        if (x.Shape.Rank != rank) throw new ArgumentException($"{op}: expected {axes}, got shape {x.Shape}");
    }

    /// <summary>Per-channel vectors must be as long as the last axis.</summary>
    public static void LastDim(Tensor x, Tensor a, Tensor b, [CallerMemberName] string op = "")
    {
        LastDim(x, a, op);
        LastDim(x, b, op);
    }

    public static void LastDim(Tensor x, Tensor a, [CallerMemberName] string op = "")
    {
        if (a.Count != x.Cols) throw new ArgumentException($"{op}: expected a vector of {x.Cols} (the last axis of {x.Shape}), got {a.Shape}");
    }

    public static void Type(Tensor x, DType type, [CallerMemberName] string op = "")
    {
        if (x.DType != type) throw new ArgumentException($"{op}: expected elements of type {type}, got {x}; convert with Ops.Cast");
    }
}
