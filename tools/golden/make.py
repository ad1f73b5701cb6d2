"""Writes the golden files of tests/plip/weights and tests/engine/io/torch with real PyTorch; see README.md."""

import argparse
import collections
import json
import os

import numpy
import torch

import networks

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def pictures(count, height, across):
    """Fixed pictures (N, 3, H, W): noise and slopes that differ from picture to picture, exact in double precision."""
    n, y, x, c = torch.meshgrid(*(torch.arange(k) for k in (count, height, across, 3)), indexing="ij")
    i = ((n * height + y) * across + x) * 3 + c
    noise = (i * 7919 % 2003).double() / 1001 - 1
    slope = ((y * (n + 1) + x * (2 * n + 1) + 29 * c * (n + 1)) % 64).double() / 32 - 1
    return (noise / 4 + slope).float().permute(0, 3, 1, 2).contiguous()


def texts(lengths, words):
    """Fixed captions: token j of caption i is 5 + (131 i + 37 j) mod (words - 5), between [CLS] = 2 and [SEP] = 3."""
    return [[2] + [5 + (131 * i + 37 * j) % (words - 5) for j in range(n - 2)] + [3] for i, n in enumerate(lengths)]


def vocabulary(words):
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"word{i}" for i in range(5, words)]


def released(folder, name, layers, width, embedding, height, across, bert, heads, lengths, module):
    """A checkpoint in the released format and what its networks make of the fixed inputs."""
    visual = networks.randomize(networks.ModifiedResNet(layers, width, 8, embedding, height, across), 11)
    text = networks.randomize(networks.TextEncoder(networks.Bert(**bert, heads=heads[0])), 12)
    x = pictures(2, height, across)
    ids = texts(lengths, bert["words"])
    longest = max(lengths)
    padded = torch.tensor([i + [0] * (longest - len(i)) for i in ids])
    real = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i in ids])
    expected = {"image": {"height": height, "width": across, "embeddings": None}, "text": {"tokens": ids}}
    with torch.no_grad():
        expected["image"]["embeddings"] = visual(x).double().tolist()
        for h in heads:
            for layer in text.encoder.encoder.layer:
                layer.heads = h
            expected["text"][f"heads{h}"] = text(padded, real).double().tolist()
    expected["keys"] = {"visual": list(visual.state_dict()), "text": list(text.encoder.state_dict())}
    prefix = "module." if module else ""

    def state(m):
        return collections.OrderedDict((prefix + k, v) for k, v in m.state_dict().items())

    torch.save({"epoch": 69, "ImgEncoder_state_dict": state(visual), "TxtEncoder_state_dict": state(text)}, os.path.join(folder, name + ".pth.tar"))
    if module:
        return  # the same weights and results as without
    with open(os.path.join(folder, name + ".json"), "w") as f:
        json.dump(expected, f)
    with open(os.path.join(folder, name + ".vocab.txt"), "w") as f:
        f.write("\n".join(vocabulary(bert["words"])) + "\n")


def small(folder):
    bert = dict(words=128, layers=1, width=64, inner=64, positions=40)
    sizes = dict(layers=[1, 2, 1, 1], width=2, embedding=64, height=64, across=32, bert=bert, heads=[1, 4], lengths=[9, 40, 3])
    released(folder, "released", module=False, **sizes)
    released(folder, "module", module=True, **sizes)


def formats(folder):
    """One small file for each thing that a reader can get wrong; the values are told by the tests."""

    def save(name, value, **how):
        torch.save(value, os.path.join(folder, name), **how)

    ramp = torch.arange(12)
    types = dict(
        f64=ramp.double() / 4 - 1, f32=ramp.float() / 4 - 1, f16=ramp.half() / 4 - 1, bf16=ramp.bfloat16() / 4 - 1,
        i64=ramp - 6, i32=ramp.int() - 6, i16=ramp.short() - 6, i8=ramp.char() - 6, u8=ramp.byte(), bool=ramp % 2 == 0,
        scalar=torch.tensor(2.5), empty=torch.zeros(0, 3))
    save("types.pth", types)
    base = torch.arange(24, dtype=torch.float32)
    cube = base.view(2, 3, 4)
    views = dict(
        base=base, part=base[4:10].view(2, 3), transposed=cube.transpose(0, 2), permuted=cube.permute(1, 2, 0), every_third=base[1::3], column=cube[:, :, 1],
        f64_transposed=torch.arange(6, dtype=torch.float64).view(2, 3).t(), again=base)
    save("views.pth", views)
    weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    adam = torch.optim.Adam([weight], lr=0.25)
    weight.sum().backward()
    adam.step()
    weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    nested = dict(
        epoch=3, best=numpy.float64(0.5), single=numpy.float32(0.25), name="a résumé", flags=(True, None), shape=torch.Size([2, 3]), device=torch.device("cpu"),
        dtype=torch.float16, args=argparse.Namespace(lr=0.1, layers=[1, 2]), big=1 << 70, negative=-(1 << 40), raw=b"\x00\xff", chosen={1}, optimizer=adam.state_dict(),
        state_dict=collections.OrderedDict([("module.weight", weight), ("module.tied", weight)]))
    for protocol in (2, 3, 4, 5):
        save(f"protocol{protocol}.pth", nested, pickle_protocol=protocol)
    save("legacy.pth", {"x": torch.ones(2)}, _use_new_zipfile_serialization=False)
    save("tensor.pt", torch.tensor([1.0, 2.0]))
    save("complex.pth", {"x": torch.ones(2, dtype=torch.complex64)})
    save("quantized.pth", {"x": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)})
    save("sparse.pth", {"x": torch.ones(2, 2).to_sparse()})
    save("expanded.pth", {"x": torch.ones(3).expand(4, 3)})
    save("module.pth", torch.nn.Linear(2, 2))
    script = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1)).half().eval()
    with torch.no_grad():
        script[0].weight.fill_(0.5)
    torch.jit.save(torch.jit.script(script), os.path.join(folder, "script.pt"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", metavar="DIR", help="write RN50 and BERT-base at full size (590 MB) to this folder, and nothing else")
    options = parser.parse_args()
    if options.full:
        os.makedirs(options.full, exist_ok=True)
        bert = dict(words=30522, layers=12, width=768, inner=3072, positions=512)
        released(options.full, "full", layers=[3, 4, 6, 3], width=64, embedding=768, height=256, across=128, bert=bert, heads=[12], lengths=[64, 12, 33], module=False)
        return
    small(os.path.join(ROOT, "tests", "plip", "weights", "golden"))
    formats(os.path.join(ROOT, "tests", "engine", "io", "torch", "golden"))


if __name__ == "__main__":
    main()
