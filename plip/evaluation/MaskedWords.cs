using Plip.Data;
using Plip.Encoders;
using Plip.Engine;
using Plip.Model;
using Plip.Tasks;
using Plip.Text;

namespace Plip.Evaluation;

/// <summary>
/// How well the attribute prediction task names masked words of captions it never saw. Each attribute phrase of each
/// caption is masked with one probability, by a fixed seed; the unigram baseline counts the words masked in the same way
/// in training captions.
/// </summary>
public sealed class MaskedWords
{
    private const ulong Seed = 20240707;
    private const uint TestStream = 1, TrainStream = 2;

    private readonly PlipCheckpoint _plip;
    private readonly IapTask _task;
    private readonly float _probability;

    /// <summary>For a checkpoint that was trained with attribute prediction.</summary>
    /// <param name="probability">That a phrase is masked; 0.5 stands in the middle of the curriculum's 0.2 to 0.8.</param>
    /// <exception cref="ArgumentException">The checkpoint was trained without the task.</exception>
    public MaskedWords(PlipCheckpoint plip, float probability = 0.5f)
    {
        (_plip, _probability) = (plip, probability);
        _task = plip.Model.Task<IapTask>() ?? throw new ArgumentException($"{plip.Path} was trained without attribute prediction (tasks.iap.enabled is false)");
    }

    /// <summary>Accuracy over a test split, beside the baseline from a training split.</summary>
    /// <param name="limit">Captions of the training split that the baseline counts at most.</param>
    public AttributeResult Evaluate(PersonDataset train, PersonDataset test, int batch = 64, int limit = 20000)
    {
        var vocabulary = _plip.Model.Config.Text.VocabularySize;
        var counts = new long[vocabulary];
        foreach (var (caption, index) in train.Images.SelectMany(i => i.Captions).Take(limit).Select((c, i) => (c, i)))
            foreach (var label in Mask(caption, TrainStream, index).Labels)
                if (label >= 0) counts[label]++;
        var accuracy = new AttributeAccuracy(counts);
        for (var start = 0; start < test.Images.Count; start += batch)
        {
            var images = test.Images.Skip(start).Take(batch).Where(i => i.Captions.Length > 0).ToArray();
            var masked = images.Select((image, i) => Mask(image.Captions[0], TestStream, start + i)).ToArray();
            var (logits, labels) = Predict(images, masked);
            accuracy.Add(logits, labels);
        }
        return accuracy.Result();
    }

    /// <summary>Examples for a report: the words of each image's first caption, the masked ones with the five best guesses.</summary>
    public IReadOnlyList<MaskedCaption> Examples(IReadOnlyList<PersonImage> images)
    {
        var masked = images.Select((image, i) => Mask(image.Captions[0], TestStream, image.Entry)).ToArray();
        var (logits, labels) = Predict(images, masked);
        var vocabulary = _plip.Model.Config.Text.VocabularySize;
        var examples = new List<MaskedCaption>();
        var at = 0;
        Span<int> best = stackalloc int[5];
        for (var i = 0; i < images.Count; i++)
        {
            var words = new List<CaptionWord>();
            for (var t = 1; t < masked[i].Ids.Length - 1; t++)
            {
                var label = masked[i].Labels[t];
                if (label < 0)
                {
                    words.Add(new CaptionWord(_plip.Captions.Vocabulary[masked[i].Ids[t]]));
                    continue;
                }
                var scores = logits.AsSpan(at++ * vocabulary, vocabulary);
                AttributeAccuracy.Top(scores, best);
                var p = AttributeAccuracy.Probabilities(scores, best);
                words.Add(new CaptionWord(_plip.Captions.Vocabulary[label], [.. best.ToArray().Select((id, k) => new WordPrediction(_plip.Captions.Vocabulary[id], p[k]))]));
            }
            var picture = images[i].Load();
            examples.Add(new MaskedCaption(words, new ReportPicture(picture.Width, picture.Height, picture.Rgb)));
        }
        return examples;
    }

    private (int[] Ids, int[] Labels) Mask(string caption, uint stream, int index) =>
        _plip.Captions.EncodeMasked(caption, _plip.Model.Config.Text.MaxTokens, _probability, new Philox(Seed, stream, (uint)index));

    private (float[] Logits, int[] Labels) Predict(IReadOnlyList<PersonImage> images, IReadOnlyList<(int[] Ids, int[] Labels)> masked)
    {
        var (device, model) = (_plip.Device, _plip.Model);
        var transform = new ImageTransform(model.Config.Image.ToSettings());
        var pixels = new float[images.Count * transform.Size];
        for (var i = 0; i < images.Count; i++) transform.Apply(images[i].Load(), default, pixels.AsSpan(i * transform.Size, transform.Size));
        List<int> ids = [], labels = [], offsets = [0];
        foreach (var (maskedIds, maskedLabels) in masked)
        {
            ids.AddRange(maskedIds);
            labels.AddRange(maskedLabels);
            offsets.Add(ids.Count);
        }
        using var step = device.BeginStep(recordGradients: false);
        var captions = MaskedCaptions.From(device, ids.ToArray(), offsets.ToArray(), labels.ToArray());
        if (captions.Places == null) return ([], []);
        var image = model.Config.Image;
        var embedding = model.Visual.Forward(Tensor.From(device, pixels, new Shape(images.Count, image.Height, image.Width, 3)));
        return (Ops.Cast(_task.Predict(model, embedding, captions, new DropoutStream(0, 0)), DType.F32).ToArray(), captions.Labels!.ToArray<int>());
    }
}
