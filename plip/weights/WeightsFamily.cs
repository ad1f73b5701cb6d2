namespace Plip.Weights;

/// <summary>Whose names an encoder's tensors have in a file.</summary>
public enum WeightsFamily
{
    /// <summary>CLIP's ModifiedResNet: OpenAI, open_clip, the released PLIP, this program.</summary>
    ClipResNet,

    /// <summary>A plain ResNet with bottlenecks, as torchvision and timm name it.</summary>
    PlainResNet,

    /// <summary>Swin by torchvision's names, which are this program's too.</summary>
    TorchvisionSwin,

    /// <summary>Swin by Microsoft's names, which timm has too.</summary>
    MicrosoftSwin,

    /// <summary>ViT by torchvision's names.</summary>
    TorchvisionVit,

    /// <summary>BERT by Hugging Face's names.</summary>
    HuggingFaceBert,
}

/// <summary>Facts about families.</summary>
internal static class WeightsFamilies
{
    /// <summary>A name that every encoder of a family has and none of another: what stands before it is the encoder's prefix in the file.</summary>
    public static IReadOnlyList<(WeightsFamily Family, string Mark)> Marks { get; } =
    [
        (WeightsFamily.ClipResNet, "layer1.0.conv3.weight"), // a plain ResNet's too: told apart by the stem
        (WeightsFamily.TorchvisionSwin, "features.1.0.attn.qkv.weight"),
        (WeightsFamily.MicrosoftSwin, "layers.0.blocks.0.attn.qkv.weight"),
        (WeightsFamily.TorchvisionVit, "encoder.layers.encoder_layer_0.ln_1.weight"),
        (WeightsFamily.HuggingFaceBert, "embeddings.word_embeddings.weight"),
    ];

    /// <summary>In words, for reports.</summary>
    public static string Describe(this WeightsFamily family) => family switch
    {
        WeightsFamily.ClipResNet => "CLIP's ModifiedResNet",
        WeightsFamily.PlainResNet => "a plain ResNet (torchvision, timm)",
        WeightsFamily.TorchvisionSwin => "Swin by torchvision's names",
        WeightsFamily.MicrosoftSwin => "Swin by Microsoft's names",
        WeightsFamily.TorchvisionVit => "ViT by torchvision's names",
        _ => "Hugging Face's BERT",
    };
}
