using Plip.Encoders;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Plip.Oracle;

/// <summary>torchvision's vision transformer in LibTorch's operators, by state-dict names.</summary>
internal sealed class TorchViT(TorchState state, ViTConfig config)
{
    /// <summary>The last block's tokens (N, T, C) of pictures (N, H, W, 3).</summary>
    public Tensor Tokens(Tensor pictures)
    {
        var maps = functional.conv2d(Torch.Nchw(pictures), state["conv_proj.weight"], state["conv_proj.bias"], strides: [config.Patch, config.Patch]);
        var (n, c) = (maps.shape[0], maps.shape[1]);
        var x = cat([state["class_token"].expand(n, -1, -1), maps.flatten(2).permute(0, 2, 1)], 1) + state["encoder.pos_embedding"];
        for (var l = 0; l < config.Layers; l++)
        {
            var at = $"encoder.layers.encoder_layer_{l}.";
            var qkv = functional.linear(Norm(x, at + "ln_1"), state[at + "self_attention.in_proj_weight"], state[at + "self_attention.in_proj_bias"]);
            var parts = qkv.view(n, -1, 3, config.Heads, c / config.Heads).permute(2, 0, 3, 1, 4);
            var o = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2]).transpose(1, 2).reshape(n, -1, c);
            x = x + state.Linear(o, at + "self_attention.out_proj");
            x = x + state.Linear(functional.gelu(state.Linear(Norm(x, at + "ln_2"), at + "mlp.0")), at + "mlp.3");
        }
        return x;
    }

    /// <summary>The class token's embedding; all tokens are normalised, as torchvision does it.</summary>
    public Tensor Embed(Tensor tokens) => state.Linear(Norm(tokens, "encoder.ln")[TensorIndex.Colon, 0], "heads.head");

    private Tensor Norm(Tensor x, string name) => functional.layer_norm(x, [x.shape[^1]], state[name + ".weight"], state[name + ".bias"], 1e-6);
}
