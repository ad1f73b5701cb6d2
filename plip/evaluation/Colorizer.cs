using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;

namespace Plip.Evaluation;

/// <summary>Paints gray pictures in the colours that captions name, with the colorization task of a trained model.</summary>
public sealed class Colorizer
{
    private readonly PlipCheckpoint _plip;
    private readonly TicTask _task;
    private readonly ImageTransform _transform;

    /// <summary>For a checkpoint that was trained with the colorization task.</summary>
    /// <exception cref="ArgumentException">It was not.</exception>
    public Colorizer(PlipCheckpoint plip)
    {
        _plip = plip;
        _task = plip.Model.Task<TicTask>() ?? throw new ArgumentException($"{plip.Path} was trained without the colorization task (tasks.tic.enabled is false): it cannot colorize");
        _transform = new ImageTransform(plip.Model.Config.Image.ToSettings());
    }

    /// <summary>Height of the pictures made.</summary>
    public int Height => _plip.Model.Config.Image.Height;

    /// <summary>Width of the pictures made.</summary>
    public int Width => _plip.Model.Config.Image.Width;

    /// <summary>The picture at the model's size, in colour and as the model sees it, gray.</summary>
    public (float[] Colour, float[] Gray) Prepare(Picture picture)
    {
        var pixels = Normalised(picture);
        var image = _plip.Model.Config.Image;
        using var step = _plip.Device.BeginStep(recordGradients: false);
        var x = Tensor.From(_plip.Device, pixels, new Shape(1, Height, Width, 3));
        return (ToUnit(pixels), ToUnit(Ops.ToGray(x, image.Mean, image.Std).ToArray()));
    }

    /// <summary>One painted picture for each caption: (H, W, 3) sRGB in [0, 1], row-major.</summary>
    /// <param name="picture">Any picture; only its gray values are used.</param>
    /// <param name="captions">At least one.</param>
    public float[][] Colorize(Picture picture, IReadOnlyList<string> captions)
    {
        var (device, model) = (_plip.Device, _plip.Model);
        var pixels = Normalised(picture);
        var repeated = new float[pixels.Length * captions.Count];
        for (var i = 0; i < captions.Count; i++) pixels.CopyTo(repeated, i * pixels.Length);
        List<int> ids = [], offsets = [0];
        foreach (var caption in captions)
        {
            ids.AddRange(_plip.Captions.Encode(caption, model.Config.Text.MaxTokens));
            offsets.Add(ids.Count);
        }
        using var step = device.BeginStep(recordGradients: false);
        var text = PackedText.From(device, ids.ToArray(), offsets.ToArray());
        var embedding = model.Textual.Pool(model.Textual.Forward(text, new DropoutStream(0, 0)), text);
        var x = Tensor.From(device, repeated, new Shape(captions.Count, Height, Width, 3));
        var gray = Ops.ToGray(x, model.Config.Image.Mean, model.Config.Image.Std);
        var painted = _task.Colorize(model.Visual, gray, embedding).ToArray();
        return [.. Enumerable.Range(0, captions.Count).Select(i => ToUnit(painted.AsSpan(i * pixels.Length, pixels.Length)))];
    }

    /// <summary>Bytes for a file or a report.</summary>
    public Picture ToPicture(float[] unit) => new(Width, Height, Array.ConvertAll(unit, v => (byte)Math.Clamp(MathF.Round(v * 255), 0, 255)));

    private float[] Normalised(Picture picture)
    {
        var pixels = new float[_transform.Size];
        _transform.Apply(picture, default, pixels);
        return pixels;
    }

    private float[] ToUnit(ReadOnlySpan<float> normalised)
    {
        var image = _plip.Model.Config.Image;
        var unit = new float[normalised.Length];
        for (var i = 0; i < unit.Length; i++) unit[i] = Math.Clamp(normalised[i] * image.Std[i % 3] + image.Mean[i % 3], 0, 1);
        return unit;
    }
}
