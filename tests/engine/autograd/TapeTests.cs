using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class TapeTests
{
    [Theory, OnEachDevice]
    public void A_tensor_used_twice_gets_the_sum(string device)
    {
        using var d = Devices.Open(device);
        // x·x + 3x + x: four uses of a leaf, and of an intermediate, through Add(x, x) and through a reshape.
        foreach (var leaf in new[] { true, false })
        {
            using var step = d.BeginStep();
            var x = Input.Normal(new(2, 6)).ToTensor(d);
            var u = leaf ? x : Ops.Affine(x, 2);
            var flat = Ops.Reshape(u, 12);
            var both = Ops.Add(u, u);
            var y = Ops.Add(Ops.Multiply(u, u), Ops.Add(Ops.Reshape(Ops.Affine(flat, 3), 2, 6), both));
            Ops.Sum(y).Backward();
            var f = leaf ? 1.0 : 2.0;
            var expected = Array.ConvertAll(Input.Normal(new(2, 6)).Values, v => f * (2 * f * v + 3 + 2));
            Check.Close(expected, x.Grad!.ToArray(), 1e-6, leaf ? "leaf" : "intermediate");
        }
    }

    /// <summary>Add hands both its inputs the same gradient tensor: neither may change the other's when more is added to it.</summary>
    [Fact]
    public void Shared_gradients_do_not_run_into_each_other()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var (a, b) = (Tensor.From(d, [1f, 2], new(2)).WithGrad(), Tensor.From(d, [3f, 4], new(2)).WithGrad());
        var (u, v) = (Ops.Affine(a, 1), Ops.Affine(b, 1));
        Ops.Sum(Ops.Add(Ops.Add(u, v), Ops.Add(Ops.Affine(u, 10), Ops.Reshape(a, 2)))).Backward();
        Assert.Equal([12f, 12], a.Grad!.ToArray());
        Assert.Equal([1f, 1], b.Grad!.ToArray());
    }

    /// <summary>An op may hand one tensor to several inputs, and the first of them may be frozen.</summary>
    [Fact]
    public void One_gradient_may_serve_a_frozen_input_and_another()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var (frozen, x) = (Tensor.Zeros(d, new(2)), Tensor.Zeros(d, new(2)).WithGrad());
        var y = Tape.Record(Tensor.Zeros(d, new(2)), [frozen, x, x], dy =>
        {
            var g = Ops.Affine(dy, 5);
            return [g, g, g];
        });
        Ops.Sum(y).Backward();
        Assert.Equal([10f, 10], x.Grad!.ToArray());
    }

    [Fact]
    public void Gradients_of_a_leaf_add_up_over_steps_and_take_the_seed()
    {
        using var d = new CpuDevice(1);
        var x = Tensor.From(d, [1f, 2], new(2)).WithGrad();
        for (var i = 1; i <= 3; i++)
        {
            using var step = d.BeginStep();
            var inside = Tensor.From(d, [1f, 2], new(2)).WithGrad();
            Ops.Sum(Ops.Multiply(inside, inside)).Backward(i);
            Assert.Equal([2f * i, 4 * i], inside.Grad!.ToArray());
        }
        using (d.BeginStep())
        {
            x.Grad = Tensor.Zeros(d, new(2));
            Ops.Sum(Ops.Multiply(x, x)).Backward(2f);
            Assert.Equal([4f, 8], x.Grad.ToArray());
        }
        x.Release();
    }

    [Theory, OnEachDevice]
    public void A_step_gives_back_all_it_took(string device)
    {
        using var d = Devices.Open(device);
        var w = Input.Normal(new(6, 6)).ToTensor(d);
        var before = d.MemoryInUse;
        using (d.BeginStep())
        {
            Model(d, w, 5).Backward();
            Assert.True(d.MemoryInUse.Bytes > before.Bytes);
        }
        // A leaf that lives outside the step keeps its gradient there: it can be read and added to by later steps.
        Assert.Equal(w.Shape, w.Grad!.Shape);
        w.Grad.Release();
        Assert.Equal((before.Blocks, before.Bytes), (d.MemoryInUse.Blocks, d.MemoryInUse.Bytes));
    }

    /// <summary>After the walk a step holds its inputs, its loss and the leaves' gradients: intermediates and what was saved are back.</summary>
    [Fact]
    public void Backward_returns_intermediates_and_what_was_saved()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Input.Normal(new(4, 8)).ToTensor(d);
        var (gamma, beta) = (Ops.Full(d, new(8), 1), Ops.Full(d, new(8), 0));
        var before = d.MemoryInUse.Blocks;
        var loss = Ops.Mean(Ops.Gelu(Ops.L2Normalize(Ops.LayerNorm(Ops.Softmax(x), gamma, beta))));
        Assert.True(d.MemoryInUse.Blocks >= before + 8);
        loss.Backward();
        Assert.Equal(before + 2, d.MemoryInUse.Blocks); // the loss and x.Grad
    }

    [Fact]
    public void What_is_saved_goes_at_once_when_nothing_needs_it()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Input.Normal(new(4, 8)).Fixed.ToTensor(d);
        var before = d.MemoryInUse.Blocks;
        Ops.L2Normalize(x);
        Assert.Equal(before + 1, d.MemoryInUse.Blocks);
        Assert.Equal(0, step.Tape.Count);
    }

    [Fact]
    public void Use_after_the_step_names_the_op_that_made_the_tensor()
    {
        using var d = new CpuDevice(1);
        Tensor y;
        using (d.BeginStep()) y = Ops.Gelu(Tensor.Zeros(d, new(3)));
        var e = Assert.Throws<ObjectDisposedException>(() => y.ToArray());
        Assert.Contains("made by Gelu was used after its step ended", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Backward_frees_what_it_passed_unless_it_is_kept()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Input.Normal(new(3)).ToTensor(d);
        var passed = Ops.Tanh(x);
        var kept = Ops.Sigmoid(passed).Keep();
        var values = kept.ToArray();
        Ops.Sum(Ops.Multiply(kept, kept)).Backward();
        Assert.Equal(values, kept.ToArray());
        var e = Assert.Throws<ObjectDisposedException>(() => passed.ToArray());
        Assert.Contains("used after it was released", e.Message, StringComparison.Ordinal);
        Assert.Contains("made by Tanh", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_Backward_and_a_late_op_say_that_the_tape_is_gone()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Input.Normal(new(3)).ToTensor(d);
        var loss = Ops.Sum(x);
        loss.Backward();
        Assert.Contains("already walked", Assert.Throws<InvalidOperationException>(() => loss.Backward()).Message, StringComparison.Ordinal);
        Assert.Contains("Relu: the step's tape was already walked",
            Assert.Throws<InvalidOperationException>(() => Ops.Relu(x)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Backward_wants_a_scalar_that_something_led_to_and_a_step()
    {
        using var d = new CpuDevice(1);
        var outside = Tensor.Zeros(d, new());
        Assert.Contains("outside a step", Assert.Throws<InvalidOperationException>(() => outside.Backward()).Message, StringComparison.Ordinal);
        using var step = d.BeginStep();
        var x = Input.Normal(new(3)).ToTensor(d);
        Assert.Contains("starts from a scalar", Assert.Throws<InvalidOperationException>(() => Ops.Relu(x).Backward()).Message, StringComparison.Ordinal);
        Assert.Contains("nothing that needs a gradient", Assert.Throws<InvalidOperationException>(() => outside.Backward()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Frozen_inputs_get_no_gradient()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var (x, frozen) = (Input.Normal(new(2, 3), 1).ToTensor(d), Input.Normal(new(2, 3), 2).Fixed.ToTensor(d));
        var below = Ops.Gelu(frozen);
        Assert.False(below.NeedsGrad);
        Assert.Equal(0, step.Tape.Count);
        Ops.Sum(Ops.Multiply(Ops.Add(x, frozen), below)).Backward();
        Assert.Null(frozen.Grad);
        Assert.Equal(below.ToArray(), x.Grad!.ToArray()); // never recorded, so the walk left it alone
    }

    [Fact]
    public void NoGrad_records_nothing_until_its_scope_ends()
    {
        using var d = new CpuDevice(1);
        using var step = d.BeginStep();
        var x = Input.Normal(new(3)).ToTensor(d);
        Tensor constant;
        using (step.NoGrad())
        {
            using (step.NoGrad()) Ops.Relu(x);
            constant = Ops.Tanh(x); // still off: the inner scope restores what it found
        }
        Assert.Equal(0, step.Tape.Count);
        Assert.False(constant.NeedsGrad);
        Ops.Sum(Ops.Multiply(x, constant)).Backward();
        Assert.Equal(constant.ToArray(), x.Grad!.ToArray());
        using var quiet = d.BeginStep(recordGradients: false);
        Assert.False(Ops.Relu(x).NeedsGrad);
    }

    [Theory, OnEachDevice(CpuOnly = true)]
    public void A_thousand_steps_take_no_more_memory(string device)
    {
        using var d = (CpuDevice)Devices.Open(device);
        var w = Input.Normal(new(6, 6)).ToTensor(d);
        void Step(int tokens)
        {
            using var step = d.BeginStep();
            Model(d, w, tokens).Backward();
        }

        // Ragged batches: every length once, so that every size class has been seen.
        w.Grad = Tensor.Zeros(d, w.Shape);
        for (var n = 1; n <= 20; n++) Step(n);
        var (reserved, inUse) = (d.ReservedBytes, d.MemoryInUse);
        for (var i = 0; i < 1000; i++) Step(i % 20 + 1);
        Assert.Equal(reserved, d.ReservedBytes);
        Assert.Equal((inUse.Blocks, inUse.Bytes), (d.MemoryInUse.Blocks, d.MemoryInUse.Bytes));
    }

    /// <summary>DESIGN 2: addresses repeat from step to step, which the capture of a step needs.</summary>
    [Fact]
    public void The_same_program_gets_the_same_addresses_in_the_next_step()
    {
        using var d = new CpuDevice(1);
        var w = Input.Normal(new(6, 6)).ToTensor(d);
        w.Grad = Tensor.Zeros(d, w.Shape);
        nint[] Step()
        {
            using var step = d.BeginStep();
            var x = Tensor.From(d, Values.Normal(30, 2), new(5, 6));
            var a = Ops.Gelu(Ops.Linear(x, w));
            var b = Ops.Softmax(a);
            var loss = Ops.Sum(Ops.Multiply(a, b));
            nint[] addresses = [x.Address, a.Address, b.Address, loss.Address];
            loss.Backward();
            return addresses;
        }

        Step();
        var second = Step();
        Assert.Equal(second, Step());
        Assert.Equal(second, Step());
    }

    /// <summary>Ops of every kind: saved statistics, views, shared gradients, integer inputs.</summary>
    private static Tensor Model(Device d, Tensor w, int tokens)
    {
        var x = Tensor.From(d, Values.Normal(tokens * 6, 2), new(tokens, 6));
        var at = Tensor.From<int>(d, [0, tokens], new(2));
        var h = Ops.Linear(x, w);
        h = Ops.Add(h, Ops.Attention(h, h, h, at, 2));
        h = Ops.Concat([Ops.Slice(h, 1, 0, 3), Ops.Dropout(Ops.Slice(h, 1, 3, 3), 0.2f, new Philox(1, 2))], 1);
        h = Ops.AddPerSequence(Ops.Gelu(h), Ops.SegmentMean(h, at), at);
        var rows = Ops.GatherRows(h, Tensor.From<int>(d, [tokens - 1, 0, 0], new(3)));
        return Ops.CrossEntropy(Ops.L2Normalize(rows), Tensor.From<int>(d, [1, -100, 5], new(3)));
    }
}
