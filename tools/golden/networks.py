"""The two encoders of the released PLIP in PyTorch, written from their published descriptions: CLIP's ModifiedResNet with its attention pool
(Radford et al., arXiv:2103.00020) and BERT with its pooler (Devlin et al., arXiv:1810.04805). Names of parameters are the originals'."""

import collections
import math

import torch
from torch import nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, all of stride 1; a stride is an average pool before the last one and before the shortcut's."""

    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = None
        if stride > 1 or channels != 4 * planes:
            self.downsample = nn.Sequential(collections.OrderedDict([
                ("-1", nn.AvgPool2d(stride)),
                ("0", nn.Conv2d(channels, 4 * planes, 1, bias=False)),
                ("1", nn.BatchNorm2d(4 * planes)),
            ]))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.pool(y)))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class AttentionPool(nn.Module):
    """The mean joins the positions as token 0 and alone asks."""

    def __init__(self, positions, channels, heads, embedding):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions + 1, channels) / math.sqrt(channels))
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, embedding)
        self.heads = heads

    def forward(self, x):
        n, c = x.shape[:2]
        x = x.flatten(2).permute(0, 2, 1)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.positional_embedding

        def split(t):
            return t.view(n, t.shape[1], self.heads, c // self.heads).transpose(1, 2)

        q, k, v = split(self.q_proj(x[:, :1])), split(self.k_proj(x)), split(self.v_proj(x))
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(c // self.heads), -1)
        return self.c_proj((p @ v).transpose(1, 2).reshape(n, c))


class ModifiedResNet(nn.Module):
    """A stem of three 3x3 convolutions and an average pool, four stages of bottlenecks, the attention pool."""

    def __init__(self, layers, width, heads, embedding, height, across):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        channels = width
        for s, blocks in enumerate(layers):
            planes, stage = width << s, []
            for b in range(blocks):
                stage.append(Bottleneck(channels, planes, 2 if b == 0 and s > 0 else 1))
                channels = 4 * planes
            setattr(self, f"layer{s + 1}", nn.Sequential(*stage))
        self.attnpool = AttentionPool(height // 32 * (across // 32), channels, heads, embedding)

    def forward(self, x):
        for i in "123":
            x = functional.relu(getattr(self, "bn" + i)(getattr(self, "conv" + i)(x)))
        x = functional.avg_pool2d(x, 2)
        for s in "1234":
            x = getattr(self, "layer" + s)(x)
        return self.attnpool(x)


def parts(**modules):
    """A module of parts, to give names their levels."""
    module = nn.Module()
    for name, part in modules.items():
        module.add_module(name, part)
    return module


class BertLayer(nn.Module):
    """One block, normalised behind each addition."""

    def __init__(self, width, heads, inner):
        super().__init__()
        self.attention = nn.Module()
        self.attention.self = parts(query=nn.Linear(width, width), key=nn.Linear(width, width), value=nn.Linear(width, width))
        self.attention.output = parts(dense=nn.Linear(width, width), LayerNorm=nn.LayerNorm(width, eps=1e-12))
        self.intermediate = parts(dense=nn.Linear(width, inner))
        self.output = parts(dense=nn.Linear(inner, width), LayerNorm=nn.LayerNorm(width, eps=1e-12))
        self.heads = heads

    def forward(self, x, mask):
        n, t, c = x.shape

        def split(linear):
            return linear(x).view(n, t, self.heads, c // self.heads).transpose(1, 2)

        own = self.attention.self
        p = torch.softmax(split(own.query) @ split(own.key).transpose(-1, -2) / math.sqrt(c // self.heads) + mask, -1)
        a = (p @ split(own.value)).transpose(1, 2).reshape(n, t, c)
        x = self.attention.output.LayerNorm(self.attention.output.dense(a) + x)
        return self.output.LayerNorm(self.output.dense(functional.gelu(self.intermediate.dense(x))) + x)


class Bert(nn.Module):
    """BERT; its result is the pooler's."""

    def __init__(self, words, layers, width, heads, inner, positions):
        super().__init__()
        self.embeddings = parts(
            word_embeddings=nn.Embedding(words, width), position_embeddings=nn.Embedding(positions, width),
            token_type_embeddings=nn.Embedding(2, width), LayerNorm=nn.LayerNorm(width, eps=1e-12))
        self.embeddings.register_buffer("position_ids", torch.arange(positions).expand((1, -1)))
        self.encoder = parts(layer=nn.ModuleList(BertLayer(width, heads, inner) for _ in range(layers)))
        self.pooler = parts(dense=nn.Linear(width, width))

    def forward(self, ids, real):
        """ids (N, T), real (N, T) with 1 where a token is one and 0 where it fills up."""
        e = self.embeddings
        x = e.word_embeddings(ids) + e.position_embeddings(e.position_ids[:, :ids.shape[1]]) + e.token_type_embeddings(torch.zeros_like(ids))
        x = e.LayerNorm(x)
        mask = (1.0 - real[:, None, None, :].float()) * torch.finfo(torch.float32).min
        for layer in self.encoder.layer:
            x = layer(x, mask)
        return torch.tanh(self.pooler.dense(x[:, 0]))


class TextEncoder(nn.Module):
    """As the authors wrap it: its keys begin with "encoder."."""

    def __init__(self, bert):
        super().__init__()
        self.encoder = bert

    def forward(self, ids, real):
        return self.encoder(ids, real)


def randomize(module, seed):
    """Weights that keep activations of the order of 1, and running statistics that are not the identity."""
    generator = torch.Generator().manual_seed(seed)

    def normal(t, deviation, mean=0.0):
        with torch.no_grad():
            t.copy_(torch.randn(t.shape, generator=generator) * deviation + mean)

    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            normal(m.weight, math.sqrt(2.0 / (m.weight.shape[1] * m.weight.shape[2] * m.weight.shape[3])))
        elif isinstance(m, nn.Linear):
            normal(m.weight, math.sqrt(1.0 / m.weight.shape[1]))
            normal(m.bias, 0.1)
        elif isinstance(m, nn.Embedding):
            normal(m.weight, 0.5)
        elif isinstance(m, (nn.BatchNorm2d, nn.LayerNorm)):
            normal(m.weight, 0.1, 1.0)
            normal(m.bias, 0.1)
            if isinstance(m, nn.BatchNorm2d):
                normal(m.running_mean, 0.2)
                normal(m.running_var, 0.1, 1.2)
                m.running_var.clamp_(0.5)
                m.num_batches_tracked.fill_(7)
        elif isinstance(m, AttentionPool):
            normal(m.positional_embedding, 0.5)
    return module.eval()
