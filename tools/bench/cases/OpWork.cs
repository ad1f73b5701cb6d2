using Plip.Engine;

namespace Plip.Bench;

/// <summary>
/// Our side of an op case. Inputs live in an outer step. A forward runs in an inner step that records nothing; for a backward
/// the forward is recorded first, not timed, under a scalar whose own backward hands over a fixed gradient for nothing.
/// </summary>
internal static class OpWork
{
    public static BenchCase Case(OpSpec spec) => new(spec.Group, spec.Name, spec.Flops, spec.Bytes, device => Make(device, spec));

    private static Timed Make(Device device, OpSpec spec)
    {
        var outer = device.BeginStep(recordGradients: false);
        var inputs = spec.Inputs.Select((input, i) => Upload(device, spec, input, i)).ToArray();
        if (spec.Pass == Pass.Forward)
            return new Timed(() =>
            {
                using var step = device.BeginStep(recordGradients: false);
                spec.Ours(inputs);
            }, release: outer.Dispose);

        var leaves = spec.Leaves;
        var dy = Gradient(device, spec, inputs);
        Step? recorded = null;
        Tensor[] x = [];
        Tensor? loss = null;
        return new Timed(
            () => loss!.Backward(),
            () =>
            {
                // A leaf's gradient lives as long as what the leaf is a view of: longer than the step.
                foreach (var leaf in x) leaf.Grad?.Release();
                recorded?.Dispose();
                recorded = device.BeginStep();
                // Views, for a leaf keeps its gradient and a second backward would add to it.
                x = [.. inputs.Select((t, i) => leaves.Contains(i) ? Ops.Reshape(t, t.Shape.ToArray()).WithGrad() : t)];
                var y = spec.Ours(x);
                var given = Ops.Reshape(dy, dy.Shape.ToArray());
                loss = Tape.Record(Tensor.Zeros(device, new Shape()), [y], _ => [given], op: "bench");
            },
            () =>
            {
                recorded?.Dispose();
                outer.Dispose();
            });
    }

    private static Tensor Gradient(Device device, OpSpec spec, Tensor[] inputs)
    {
        Shape shape;
        DType type;
        using (device.BeginStep(recordGradients: false))
        {
            var y = spec.Ours(inputs);
            (shape, type) = (y.Shape, y.DType);
        }
        return Ops.Cast(Tensor.From(device, Noise.Normal(shape.Count, 99), shape), type);
    }

    private static Tensor Upload(Device device, OpSpec spec, OpInput input, int index) => input.Kind is InputKind.Index or InputKind.Offsets
        ? Tensor.From(device, Noise.Integers(input, index), new Shape(input.Shape))
        : Ops.Cast(Tensor.From(device, Noise.Floats(input, index), new Shape(input.Shape)), spec.IsStored(input) ? spec.Type : DType.F32);
}
