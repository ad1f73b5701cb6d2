using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Checks of an op's arguments; each error names the op, what it got and what it expected.</summary>
internal static class Require
{
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
