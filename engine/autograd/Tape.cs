using System.Runtime.CompilerServices;

namespace Plip.Engine;

/// <summary>Gradients of an op's inputs from the gradient of its output; null for an input that needs none.</summary>
/// <param name="dy">The gradient of the output, same shape as it.</param>
public delegate Tensor?[] BackwardFunction(Tensor dy);

/// <summary>
/// The record of a step's ops. Ops run at once and append a node; <see cref="Backward"/> walks the list from its end,
/// which is a topological order already. Recording requires a gradient: an op without one says so (<see cref="RecordWithoutGradient"/>)
/// and the walk throws if it is asked for it.
/// </summary>
public sealed class Tape
{
    private List<Node> _nodes;
    private bool _walked;

    internal Tape(List<Node> nodes) => _nodes = nodes;

    /// <summary>Number of recorded ops.</summary>
    public int Count => _nodes.Count;

    /// <summary>
    /// Records an op if its step records and an input needs a gradient; otherwise releases what was saved only for the
    /// backward. Returns <paramref name="y"/>.
    /// </summary>
    /// <param name="y">The output.</param>
    /// <param name="inputs">The inputs, in the order in which <paramref name="backward"/> returns gradients.</param>
    /// <param name="backward">Runs once at most. It may read inputs, <paramref name="y"/> and <paramref name="saved"/>.</param>
    /// <param name="saved">Tensors made for the backward alone; the tape releases them.</param>
    /// <param name="op">The op's name, for errors.</param>
    public static Tensor Record(Tensor y, Tensor[] inputs, BackwardFunction backward, Tensor[]? saved = null, [CallerMemberName] string op = "")
    {
        var needed = false;
        foreach (var x in inputs) needed |= x.NeedsGrad;
        return Record(y, inputs, needed, backward, saved, op);
    }

    /// <summary>The same where parameters that are no inputs may need gradients: <see cref="Recompute"/>.</summary>
    internal static Tensor Record(Tensor y, Tensor[] inputs, bool needed, BackwardFunction backward, Tensor[]? saved, string op)
    {
        var step = y.Device.CurrentStep;
        if (needed && step != null) step.MetGradients = true;
        if (!needed || !y.Device.Recording)
        {
            if (saved != null)
                foreach (var s in saved) s.Release();
            return y;
        }
        var tape = step!.Tape;
        foreach (var x in inputs)
            if (x.RecordedBy != null && x.RecordedBy != tape)
                throw new InvalidOperationException($"{op}: {x} was recorded in another step, whose tape its gradient cannot reach; hand it to Recompute.Run as its input");
        y.NeedsGrad = true;
        y.RecordedBy = tape;
        if (tape._walked) throw new InvalidOperationException($"{op}: the step's tape was already walked; begin a new step for the next pass");
        tape._nodes.Add(new Node(op, y, inputs, backward, saved));
        return y;
    }

    /// <summary>Records an op that has no gradient: harmless until a backward reaches it, then a clear error.</summary>
    public static Tensor RecordWithoutGradient(Tensor y, Tensor[] inputs, [CallerMemberName] string op = "") =>
        Record(y, inputs, _ => throw new NotSupportedException(
            $"{op} has no gradient. Compute it under step.NoGrad(), or from a tensor that needs none."), null, op);

    internal void Backward(Tensor loss, float scale)
    {
        if (loss.Count != 1) throw new InvalidOperationException($"Backward starts from a scalar; {loss} has {loss.Count} elements");
        if (!loss.IsRecorded)
            throw new InvalidOperationException($"Backward: nothing that needs a gradient led to {loss}");
        if (_walked) throw new InvalidOperationException("Backward: this step's tape was already walked, and what it saved is gone");
        var step = loss.Device.CurrentStep!;
        loss.Keep();
        using var quiet = step.NoGrad();
        using var phase = Profiler.Phase(loss.Device, "backward");
        Walk(loss, Ops.Full(loss.Device, loss.Shape, scale));
    }

    /// <summary>Walks from a tensor of this tape, whose gradient is given, and gives that up.</summary>
    internal void Walk(Tensor from, Tensor gradient)
    {
        _walked = true;
        from.PendingGrad = gradient;
        for (var i = _nodes.Count - 1; i >= 0; i--)
        {
            var node = _nodes[i];
            var dy = node.Output.PendingGrad;
            if (dy != null)
            {
                using var measured = Profiler.Op(dy.Device, node.Op);
                var grads = node.Backward(dy);
                Distribute(node, dy, grads);
                node.Output.PendingGrad = null;
                dy.Release("Backward had passed it");
            }
            if (node.Saved != null)
                foreach (var s in node.Saved) s.Release("Backward had passed it");
            // Everything that reads this output was recorded later and is done; its own backward has just run.
            if (!node.Output.IsKept) node.Output.Release("Backward had passed it");
        }
        _nodes.Clear();
    }

    /// <summary>Forgets everything and hands out the list, emptied, for another tape.</summary>
    internal List<Node> End()
    {
        var nodes = _nodes;
        nodes.Clear();
        _nodes = [];
        return nodes;
    }

    private static void Distribute(Node node, Tensor dy, Tensor?[] grads)
    {
        if (grads.Length != node.Inputs.Length)
            throw new InvalidOperationException($"{node.Op}: its backward gave {grads.Length} gradients for {node.Inputs.Length} inputs");
        // One tensor for several inputs: a handle for each, made before the first of them is given up.
        for (var k = 0; k < grads.Length; k++)
            if (grads[k] is { } g && (ReferenceEquals(g, dy) || Array.IndexOf(grads, g, 0, k) >= 0)) grads[k] = g.View(g.Shape);
        for (var k = 0; k < grads.Length; k++)
        {
            var (x, g) = (node.Inputs[k], grads[k]);
            if (g == null) continue;
            if (!x.NeedsGrad)
            {
                g.Release();
                continue;
            }
            if (g.Shape != x.Shape)
                throw new InvalidOperationException($"{node.Op}: gradient of shape {g.Shape} for input {k} of shape {x.Shape}");
            if (x.IsRecorded) x.PendingGrad = x.PendingGrad == null ? g : Sum(x.PendingGrad, g);
            else if (x.Grad == null)
            {
                // A leaf's gradient is added to in place later, so it must not share memory with another's.
                // A leaf that outlives the step has a gradient that does.
                x.Grad = (!x.IsStepOwned ? g.Persist() : (g.IsSole ? g : Ops.Affine(g, 1f)).MoveTo(x.Owner)).Keep();
                if (!ReferenceEquals(x.Grad, g)) g.Release();
            }
            else
            {
                // The buffer's type is what counts: a parameter's BF16 copy gathers its gradient in F32, whatever type this one has.
                Ops.AddInto(x.Grad, g);
                g.Release();
            }
        }
    }

    private static Tensor Sum(Tensor a, Tensor b)
    {
        if (!a.IsSole) (a, b) = (b, a);
        if (a.IsSole)
        {
            Ops.AddInto(a, b);
            b.Release();
            return a;
        }
        var sum = Ops.Add(a, b);
        a.Release();
        b.Release();
        return sum;
    }

    internal readonly record struct Node(string Op, Tensor Output, Tensor[] Inputs, BackwardFunction Backward, Tensor[]? Saved);
}
