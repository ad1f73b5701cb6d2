using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

/// <summary>The BF16 copy that passes compute with: the bits of a cast of the F32 values at any time, with one F32 gradient for both.</summary>
public class ComputeCopyTests
{
    [Theory, OnEachDevice]
    public void Every_optimiser_writes_the_copy_in_its_own_pass(string device)
    {
        using var d = Devices.Open(device);
        foreach (var make in (Func<ParameterStore, Optimizer>[])[s => new AdamW(s), s => new Adan(s), s => new Sgd(s), s => new Sgd(s, nesterov: true)])
        {
            using var plain = ParameterStore.Materialize(d, new Pair(), 1);
            using var mixed = ParameterStore.Materialize(d, new Pair(), 1, computeType: DType.BF16);
            using Optimizer first = make(plain), second = make(mixed);
            IsCast(mixed);
            for (var t = 1u; t <= 3; t++)
            {
                foreach (var store in (ParameterStore[])[plain, mixed])
                    foreach (var place in store.Trainable)
                        place.Parameter.Grad.CopyFrom<float>(Values.Normal((int)place.Parameter.Shape.Count, 10 * t));
                var before = mixed.Compute.ToArray<ushort>();
                first.Step(0.01f);
                second.Step(0.01f);
                Assert.Equal(plain.Values.ToArray(), mixed.Values.ToArray()); // the copy changes nothing about the values
                Assert.NotEqual(before, mixed.Compute.ToArray<ushort>());
                IsCast(mixed);
            }
        }
    }

    [Fact]
    public void Matrices_compute_in_BF16_and_vectors_in_F32()
    {
        using var d = new CpuDevice(1);
        var model = new Pair();
        Parameter matrix = model.Inner.Weight, vector = model.Inner.Bias!, other = model.Second;
        using (var store = ParameterStore.Materialize(d, model, 1, [new("still", p => p == other) { Frozen = true }, ParameterGroup.All], computeType: DType.BF16))
        {
            Assert.Equal((DType.BF16, DType.F32, DType.BF16), (matrix.Compute.DType, vector.Compute.DType, other.Compute.DType));
            Assert.Same(vector.Value, vector.Compute);
            Assert.Equal((matrix.Shape, true), (matrix.Compute.Shape, matrix.Compute.NeedsGrad));
            Assert.Same(matrix.Grad, matrix.Compute.Grad);
            Assert.False(other.Compute.NeedsGrad); // frozen, but computed with as the others are
            IsCast(store);
            IsCast(d, other);
        }
        Assert.Throws<InvalidOperationException>(() => matrix.Compute);
        var blocks = d.MemoryInUse.Blocks;
        using (var store = ParameterStore.Materialize(d, model, 1))
        {
            Assert.Same(matrix.Value, matrix.Compute);
            Assert.Same(store.Values, store.Compute);
        }
        Assert.Equal(blocks, d.MemoryInUse.Blocks);
        string Error(DType type) => Assert.Throws<ArgumentException>(() => ParameterStore.Materialize(d, model, 1, computeType: type)).Message;
        Assert.Contains("F32, BF16 or F16, not I32", Error(DType.I32), StringComparison.Ordinal);
    }

    /// <summary>A pass through the copy: BF16 forward and backward, and the gradient is added to the flat F32 buffer, over two passes.</summary>
    [Theory, OnEachDevice]
    public void A_pass_through_the_copy_leaves_F32_gradients(string device)
    {
        using var d = Devices.Open(device);
        var model = new Pair();
        using var store = ParameterStore.Materialize(d, model, 1, computeType: DType.BF16);
        var w = model.Inner.Weight;
        var expected = new double[w.Shape.Count];
        for (var pass = 1u; pass <= 2; pass++)
        {
            using var step = d.BeginStep();
            var x = Input.Normal(w.Shape, pass).BF16.Fixed.ToTensor(d);
            var wide = Ops.Cast(x, DType.F32).ToArray();
            for (var i = 0; i < wide.Length; i++) expected[i] += wide[i];
            Ops.Sum(Ops.Multiply(w.Compute, x)).Backward();
        }
        Assert.Equal(DType.F32, w.Grad.DType);
        Check.Close(expected, w.Grad.ToArray(), 1e-7, "gradient"); // sums of two BF16 numbers: a BF16 buffer would be off by 2⁻⁹
        Assert.All(model.Second.Grad.ToArray(), v => Assert.Equal(0f, v));
    }

    /// <summary>An op that hands back an F32 gradient for a BF16 weight, as products of matrices do: it goes in unrounded, beside a BF16 one.</summary>
    [Fact]
    public void An_op_may_give_a_BF16_leaf_an_F32_gradient()
    {
        using var d = new CpuDevice(1);
        var model = new Pair();
        using var store = ParameterStore.Materialize(d, model, 1, computeType: DType.BF16);
        var w = model.Inner.Weight;
        using (var step = d.BeginStep())
        {
            var y = Tape.Record(Ops.Full(d, w.Shape, 0f), [w.Compute], dy => [Ops.Full(d, w.Shape, 1f / (1 << 20))]);
            Ops.Add(Ops.Sum(y), Ops.Sum(w.Compute)).Backward();
        }
        Assert.All(w.Grad.ToArray(), v => Assert.Equal(1f + 1f / (1 << 20), v));
    }

    [Fact]
    public void Loading_and_averages_make_the_copy_anew()
    {
        using var d = new CpuDevice(2);
        var model = new Pair();
        using var from = ParameterStore.Materialize(d, new Pair(), 7);
        using var store = ParameterStore.Materialize(d, model, 1, [new("still", p => p == model.Second) { Frozen = true }, ParameterGroup.All], computeType: DType.BF16);
        var start = store.Compute.ToArray<ushort>();
        store.Load(from.StateDict());
        Assert.NotEqual(start, store.Compute.ToArray<ushort>());
        IsCast(store);
        IsCast(d, model.Second);

        using var ema = new Ema(store);
        var loaded = store.Compute.ToArray<ushort>();
        model.Inner.Weight.Value.CopyFrom<float>(Values.Normal((int)model.Inner.Weight.Shape.Count, 3));
        store.RefreshCompute();
        IsCast(store);
        var trained = store.Compute.ToArray<ushort>();
        Assert.NotEqual(loaded, trained);
        using (ema.Swap())
        {
            Assert.Equal(loaded, store.Compute.ToArray<ushort>());
            IsCast(store);
        }
        Assert.Equal(trained, store.Compute.ToArray<ushort>());
    }

    /// <summary>The copy may be F16: written in the optimiser's pass, made anew when the parameters are loaded.</summary>
    [Theory, OnEachDevice]
    public void The_copy_may_be_F16(string device)
    {
        using var d = Devices.Open(device);
        using var store = ParameterStore.Materialize(d, new Pair(), 1, computeType: DType.F16);
        using var optimizer = new AdamW(store);
        void IsHalf() => Assert.Equal(Array.ConvertAll(store.Values.ToArray(), v => (Half)v), store.Compute.ToArray<Half>());
        IsHalf();
        foreach (var place in store.Trainable) place.Parameter.Grad.CopyFrom<float>(Values.Normal((int)place.Parameter.Shape.Count, 1));
        var before = store.Compute.ToArray<Half>();
        optimizer.Step(0.01f);
        Assert.NotEqual(before, store.Compute.ToArray<Half>());
        IsHalf();
        using var other = ParameterStore.Materialize(d, new Pair(), 2);
        store.Load(other.StateDict());
        IsHalf();
    }

    private static void IsCast(ParameterStore store)
    {
        using var step = store.Device.BeginStep(recordGradients: false);
        Assert.Equal(Ops.Cast(store.Values, DType.BF16).ToArray<ushort>(), store.Compute.ToArray<ushort>());
    }

    private static void IsCast(Device device, Parameter parameter)
    {
        using var step = device.BeginStep(recordGradients: false);
        Assert.Equal(Ops.Cast(parameter.Value, DType.BF16).ToArray<ushort>(), parameter.Compute.ToArray<ushort>());
    }

    private sealed class Pair : Module
    {
        public Pair()
        {
            Inner = Child("inner", new Linear(37, 500));
            Second = Param("second", new Shape(5, 7), Init.Normal(1f));
        }

        public Linear Inner { get; }

        public Parameter Second { get; }
    }
}
