using Plip.Tasks;
using Xunit;

namespace Plip.Tests.Tasks;

public sealed class MaskingCurriculumTests
{
    [Theory]
    [InlineData("sqrt(x)", 0.2, 0.5, 0.8)]
    [InlineData("x", 0.2, 0.35, 0.8)]
    [InlineData("x^2", 0.2, 0.2375, 0.8)]
    [InlineData("constant(0.5)", 0.5, 0.5, 0.5)]
    [InlineData(" constant(1) ", 1, 1, 1)]
    public void Grows_as_its_name_says(string name, double start, double quarter, double end)
    {
        var curve = MaskingCurriculum.Parse(name);
        Assert.Equal(start, curve.At(0), 1e-6); // one rounding to float
        Assert.Equal(quarter, curve.At(0.25), 1e-6);
        Assert.Equal(end, curve.At(1), 1e-6);
        Assert.Equal(curve.At(0.25), MaskingCurriculum.Parse(curve.Name).At(0.25));
    }

    [Theory]
    [InlineData("cosine")]
    [InlineData("")]
    [InlineData("constant")]
    [InlineData("constant(2)")]
    [InlineData("constant(NaN)")]
    [InlineData("constant(0,5)")]
    public void Another_name_is_answered_with_the_valid_ones(string name)
    {
        var error = Assert.Throws<FormatException>(() => MaskingCurriculum.Parse(name));
        foreach (var valid in new[] { "sqrt(x)", "x^2", "constant(v)" }) Assert.Contains(valid, error.Message);
        Assert.Contains($"\"{name}\"", error.Message);
    }

    [Theory]
    [InlineData(-0.001)]
    [InlineData(1.001)]
    [InlineData(double.NaN)]
    public void Progress_outside_zero_to_one_is_refused(double progress) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => MaskingCurriculum.SquareRoot.At(progress));
}
