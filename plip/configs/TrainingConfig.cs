using Plip.Data;

namespace Plip.Configs;

/// <summary>The update rule.</summary>
public enum OptimizerKind
{
    /// <summary>Adan: the paper's.</summary>
    Adan,

    /// <summary>AdamW.</summary>
    AdamW,

    /// <summary>SGD with momentum.</summary>
    Sgd,
}

/// <summary>How activations and the matrices of a pass are stored; master weights, statistics, losses and the optimiser are F32 always.</summary>
public enum Precision
{
    /// <summary>F32 throughout.</summary>
    F32,

    /// <summary>Mixed: BF16 activations and compute copies of matrices, sums in F32. BF16 has F32's range, so no loss scaling is needed.</summary>
    BF16,

    /// <summary>Mixed: as BF16 with F16, three bits finer and of a far smaller range, so the loss is scaled, dynamically.</summary>
    F16,
}

/// <summary>Which activations are made again in the backward in place of being kept: less memory, up to a third more work, the same losses.</summary>
public enum Recomputation
{
    /// <summary>None: everything is kept.</summary>
    None,

    /// <summary>The picture encoder's, stage by stage.</summary>
    Visual,

    /// <summary>The text encoder's too, block by block.</summary>
    All,
}

/// <summary>How the learning rate moves after warm-up.</summary>
public enum ScheduleKind
{
    /// <summary>×0.1 at each milestone: the paper's.</summary>
    MultiStep,

    /// <summary>Half a cosine to zero.</summary>
    Cosine,

    /// <summary>Constant.</summary>
    Constant,
}

/// <summary>Optimiser, schedule, batches, augmentation, and how often to look.</summary>
public sealed record TrainingConfig
{
    /// <summary>Passes over the pictures; ignored where <see cref="Steps"/> is given.</summary>
    public double Epochs { get; set; } = 70;

    /// <summary>Optimiser steps; 0 leaves it to <see cref="Epochs"/>.</summary>
    public long Steps { get; set; }

    /// <summary>Pairs in a batch.</summary>
    public int BatchSize { get; set; } = 128;

    /// <summary>Batches whose gradients are averaged before a step; the contrast stays within a batch.</summary>
    public int Accumulation { get; set; } = 1;

    /// <summary>Batch composition.</summary>
    public BatchKind Sampler { get; set; } = BatchKind.Random;

    /// <summary>Pictures of an identity in a batch, with the PxK sampler.</summary>
    public int ImagesPerIdentity { get; set; } = 4;

    /// <summary>Images of a block, about, with the Blocks sampler: neighbours in the data set, read in one piece from a shard.</summary>
    public int BlockSize { get; set; } = IdentityBatchSampler.DefaultBlockSize;

    /// <summary>Blocks whose images are mixed, with the Blocks sampler.</summary>
    public int OpenBlocks { get; set; } = IdentityBatchSampler.DefaultOpenBlocks;

    /// <summary>Update rule.</summary>
    public OptimizerKind Optimizer { get; set; } = OptimizerKind.Adan;

    /// <summary>Storage of activations and of matrices in a pass.</summary>
    public Precision Precision { get; set; } = Precision.F32;

    /// <summary>
    /// On a GPU, whether products of F32 matrices may cut their operands to TF32, ten bits of fraction, for the sake of tensor cores: several
    /// times faster, three digits. Convolutions and everything on the CPU are F32 all the same.
    /// </summary>
    public bool Tf32 { get; set; }

    /// <summary>Activations that are made again in the backward rather than kept.</summary>
    public Recomputation Recompute { get; set; } = Recomputation.None;

    /// <summary>Base learning rate.</summary>
    public float LearningRate { get; set; } = 0.002f;

    /// <summary>Factor on the learning rate of the text encoder.</summary>
    public float TextLearningRateScale { get; set; } = 0.1f;

    /// <summary>Decoupled weight decay; vectors (biases, norms) get none.</summary>
    public float WeightDecay { get; set; } = 0.02f;

    /// <summary>Linear warm-up, as a share of all steps (the paper's 10 of 70 epochs are 0.143).</summary>
    public double Warmup { get; set; } = 10.0 / 70;

    /// <summary>Schedule after warm-up.</summary>
    public ScheduleKind Schedule { get; set; } = ScheduleKind.MultiStep;

    /// <summary>Where MultiStep multiplies by 0.1, as shares of all steps (epochs 30 and 50 of 70).</summary>
    public double[] Milestones { get; set; } = [30.0 / 70, 50.0 / 70];

    /// <summary>Largest global gradient norm; 0 for none.</summary>
    public float ClipNorm { get; set; }

    /// <summary>Decay of the averaged weights that are evaluated and saved as best; 0 for none.</summary>
    public float Ema { get; set; }

    /// <summary>Random shift in pixels, each axis, edge padded.</summary>
    public int Shift { get; set; }

    /// <summary>Probability of a horizontal flip.</summary>
    public float Flip { get; set; } = 0.5f;

    /// <summary>Seed of initial weights, order, augmentation, masking and dropout.</summary>
    public ulong Seed { get; set; } = 1;

    /// <summary>Validate (and save) every so many steps; 0 once an epoch.</summary>
    public long ValidateEvery { get; set; }

    /// <summary>Threads that decode ahead.</summary>
    public int Workers { get; set; } = 1;

    /// <summary>
    /// On a GPU, whether a step whose shapes come again is captured as a CUDA graph and replayed: the same bits, with one launch in place of a
    /// thousand. Off to look for a fault.
    /// </summary>
    public bool CudaGraphs { get; set; } = true;

    internal void Validate()
    {
        ConfigException.Require(Steps >= 0, "training.steps", Steps, "0 (the epochs decide) or more");
        ConfigException.Require(Steps > 0 || (Epochs > 0 && double.IsFinite(Epochs)), "training.epochs", Epochs, "a positive number (or training.steps)");
        ConfigException.Require(BatchSize >= 2, "training.batchSize", BatchSize, "2 or more: the contrast needs pairs to tell apart");
        ConfigException.Require(Accumulation >= 1, "training.accumulation", Accumulation, "1 or more");
        ConfigException.Require(LearningRate > 0 && float.IsFinite(LearningRate), "training.learningRate", LearningRate, "a positive number");
        ConfigException.Require(TextLearningRateScale >= 0 && float.IsFinite(TextLearningRateScale), "training.textLearningRateScale", TextLearningRateScale, "0 or more");
        ConfigException.Require(WeightDecay >= 0 && float.IsFinite(WeightDecay), "training.weightDecay", WeightDecay, "0 or more");
        ConfigException.Require(ClipNorm >= 0 && float.IsFinite(ClipNorm), "training.clipNorm", ClipNorm, "0 (off) or more");
        ConfigException.Require(ValidateEvery >= 0, "training.validateEvery", ValidateEvery, "0 (once an epoch) or more");
        ConfigException.Require(Shift >= 0, "training.shift", Shift, "0 or more pixels");
        ConfigException.Require(Warmup is >= 0 and < 1, "training.warmup", Warmup, "a share of all steps, from 0 to below 1");
        ConfigException.Require(Milestones.All(m => m is > 0 and < 1), "training.milestones", string.Join(", ", Milestones), "shares of all steps, between 0 and 1");
        ConfigException.Require(Ema is >= 0 and < 1, "training.ema", Ema, "0 (off) to below 1");
        ConfigException.Require(Flip is >= 0 and <= 1, "training.flip", Flip, "a probability");
        ConfigException.Require(ImagesPerIdentity >= 1 && (Sampler != BatchKind.PxK || BatchSize % ImagesPerIdentity == 0),
            "training.imagesPerIdentity", ImagesPerIdentity, $"a divisor of the batch size {BatchSize}");
        ConfigException.Require(BlockSize is >= 1 and <= 1 << 20, "training.blockSize", BlockSize, "1 to 1048576 images");
        ConfigException.Require(OpenBlocks is >= 1 and <= 4096, "training.openBlocks", OpenBlocks, "1 to 4096 blocks");
        ConfigException.Require(Workers is >= 1 and <= 256, "training.workers", Workers, "1 to 256");
    }
}
