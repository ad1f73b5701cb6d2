using Plip.Engine;
using Xunit;

namespace Plip.Tests.Engine;

public class LossScalerTests
{
    [Fact]
    public void Doubles_after_so_many_good_updates_and_halves_after_a_bad_one()
    {
        using var d = new CpuDevice(1);
        using var scaler = new LossScaler(d, 1024, growAfter: 3);
        Assert.True(scaler.Update(true));
        Assert.True(scaler.Update(true));
        Assert.Equal((1024, 2), (scaler.Scale, scaler.GoodUpdates));
        Assert.True(scaler.Update(true));
        Assert.Equal((2048, 0), (scaler.Scale, scaler.GoodUpdates));
        Assert.True(scaler.Update(true));
        Assert.False(scaler.Update(false));
        Assert.Equal((1024, 0), (scaler.Scale, scaler.GoodUpdates));
        for (var i = 0; i < 40; i++) scaler.Update(false);
        Assert.Equal((1, false), (scaler.Scale, scaler.CanShrink));
        for (var i = 0; i < 400; i++) scaler.Update(true);
        Assert.Equal((1 << 24, true), (scaler.Scale, scaler.CanShrink));
    }

    [Fact]
    public void Is_saved_and_resumed()
    {
        using var d = new CpuDevice(1);
        using LossScaler one = new(d, 256, growAfter: 3), two = new(d, growAfter: 3);
        one.Update(true);
        one.Update(true);
        two.Load(one.StateDict());
        Assert.Equal((256, 2), (two.Scale, two.GoodUpdates));
        two.Update(true);
        Assert.Equal(512, two.Scale);
        using (d.BeginStep()) Assert.Equal(1536, two.Apply(Tensor.From<float>(d, [3], new())).Item());
        foreach (var bad in (float[])[0, -2, 3, float.NaN, float.PositiveInfinity, 1 << 25])
            Assert.Contains("power of two", Assert.Throws<ArgumentException>(() => new LossScaler(d, bad)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new LossScaler(d, growAfter: 0));
    }

    /// <summary>The scale goes in with the loss and out with the norm: powers of two, so weights get the bits of an unscaled update.</summary>
    [Theory, OnEachDevice]
    public void Changes_no_bit_of_an_update(string device)
    {
        using var d = Devices.Open(device);
        var (plain, plainNorm) = Run(null);
        using var scaler = new LossScaler(d, 4096);
        var (scaled, norm) = Run(scaler);
        Assert.Equal(plain, scaled);
        Assert.Equal(plainNorm, norm, 1e-12);

        (float[] Values, double Norm) Run(LossScaler? scaler)
        {
            var model = new Linear(7, 5);
            using var store = ParameterStore.Materialize(d, model, 1);
            using var optimizer = new AdamW(store);
            using var step = d.BeginStep();
            var loss = Ops.Mean(Ops.Multiply(model.Forward(Input.Normal(new(9, 7), 1).Fixed.ToTensor(d)), Input.Normal(new(9, 5), 2).Fixed.ToTensor(d)));
            (scaler == null ? loss : scaler.Apply(loss)).Backward();
            var measured = GradientClip.Measure(store, 0.01, scaler: scaler);
            optimizer.Step(0.1f, measured);
            return (store.Values.ToArray(), measured.Norm);
        }
    }

    /// <summary>
    /// A model in F16 follows the same in F32, with gradients of 1e-8, which F16 does not hold without the scale, and with a scale
    /// so large that the first updates overflow, are refused, and count for nothing.
    /// </summary>
    [Theory, InlineData("cpu"), InlineData("cuda")]
    public void F16_trains_as_F32_does(string device)
    {
        const float Small = 1e-7f, Usual = 0.25f;
        using var d = Devices.Open(device);
        double[] wide = Array.ConvertAll(Train(d, DType.F32, Small, 1).Values, v => (double)v);
        var lost = Train(d, DType.F16, Small, 1);
        Assert.Equal((0, 5), (lost.Refused, lost.Steps));
        var held = Train(d, DType.F16, Small, 1 << 20);
        Assert.Equal((0, 5), (held.Refused, held.Steps));
        Check.Close(wide, held.Values, 2e-3, "weights of small gradients"); // numbers of 11 bits, five updates
        Assert.True(Distance(lost.Values) > 20 * Distance(held.Values));
        var grown = Train(d, DType.F16, Usual, 1 << 24);
        Assert.True(grown.Refused > 0);
        Assert.Equal(5, grown.Steps);
        Check.Close(wide, grown.Values, 2e-3, "weights after overflows");

        double Distance(float[] values) => Math.Sqrt(values.Zip(wide, (a, b) => (a - b) * (a - b)).Sum());
    }

    private static (float[] Values, int Refused, long Steps) Train(Device d, DType type, float weight, float scale)
    {
        const float Rate = 0.05f; // for a loss of weight 1
        var model = new Block();
        using var store = ParameterStore.Materialize(d, model, 1, computeType: type);
        using var optimizer = new Sgd(store, momentum: 0.5f);
        using var scaler = new LossScaler(d, scale);
        var refused = 0;
        for (var t = 0; t < 5;)
        {
            store.ZeroGrad();
            using var step = d.BeginStep();
            var x = Ops.Cast(Input.Normal(new(12, 16), (uint)t).Fixed.ToTensor(d), type);
            var labels = Tensor.From<int>(d, [.. Enumerable.Range(0, 12).Select(i => (i * 7 + t) % 40)], new(12));
            scaler.Apply(Ops.Affine(model.Loss(x, labels), weight)).Backward();
            var norm = GradientClip.Measure(store, scaler: scaler);
            optimizer.Step(Rate / weight, norm);
            if (scaler.Update(norm.IsFinite)) t++;
            else refused++;
        }
        return (store.Values.ToArray(), refused, optimizer.StepCount);
    }

    /// <summary>What a text encoder ends with: inner layer, norm of the residual sum, words.</summary>
    private sealed class Block : Module
    {
        private readonly Linear _inner, _outer, _words;
        private readonly LayerNorm _norm;

        public Block()
        {
            _inner = Child("inner", new Linear(16, 24));
            _outer = Child("outer", new Linear(24, 16));
            _norm = Child("norm", new LayerNorm(16));
            _words = Child("words", new Linear(16, 40));
        }

        public Tensor Loss(Tensor x, Tensor labels) =>
            _words.CrossEntropy(_norm.ForwardAdd(x, _outer.Forward(_inner.ForwardGelu(x)), 0.1f, new Philox(1, 2, 3)), labels);
    }
}
