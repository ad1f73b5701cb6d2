"""PyTorch's times of the ops that `bench cuda --twin` lists, on the same GPU and in the same way: events around each run, the median,
the second-level cache flushed before it. Eager PyTorch, used as well as we know: channels_last or not, whichever is faster; in place where a user
would; cuDNN's own search; fused AdamW; TF32 off, as it is in ours.

    torch_twin.py CASES RESULT [--seconds N]   times; the result is written after every case
    torch_twin.py CASES --check                needs no PyTorch: every op has its counterpart here
"""
import json
import os
import statistics
import sys
import time

SAMPLES, MOST_SECONDS, WARM, FLUSH_BYTES = 50, 0.25, 3, 512 << 20


def batch_norm(x):
    return F.batch_norm(x[0], x[3], x[4], x[1], x[2], training=True)


def cmpm(v, t, identities):
    same = (identities[None] == identities[:, None]).float()
    log = (same / same.sum(1, keepdim=True) + 1e-8).log()

    def divergence(a, b):
        p = F.log_softmax(a @ F.normalize(b, dim=1).t(), 1)
        return (p.exp() * (p - log)).sum(1).mean()
    return divergence(v, t) + divergence(t, v)


def info_nce(v, t, scale):
    logits = scale * F.normalize(v, dim=1) @ F.normalize(t, dim=1).t()
    own = torch.arange(v.shape[0], device=v.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2


# By our snake name; x are the inputs, a the arguments (stride and padding, factor, heads).
OPS = {
    "gemm_nn": lambda x, a: x[0] @ x[1],
    "gemm_nt": lambda x, a: x[0] @ x[1].t(),
    "gemm_tn": lambda x, a: x[0].t() @ x[1],
    "conv2d": lambda x, a: F.conv2d(x[0], x[1], stride=a[0], padding=a[1]),
    "conv_transpose2d": lambda x, a: F.conv_transpose2d(x[0], x[1], stride=a[0], padding=a[1], output_padding=1),
    "batch_norm_relu": lambda x, a: batch_norm(x).relu_(),
    "batch_norm_add_relu": lambda x, a: batch_norm(x).add_(x[5]).relu_(),
    "relu": lambda x, a: F.relu(x[0]),
    "add": lambda x, a: x[0] + x[1],
    "avg_pool2d": lambda x, a: F.avg_pool2d(x[0], a[0]),
    "max_pool2d": lambda x, a: F.max_pool2d(x[0], a[0]),
    "max_pixels": lambda x, a: x[0].amax((2, 3)),
    "mean_pixels": lambda x, a: x[0].mean((2, 3)),
    "scale_channels": lambda x, a: x[0] * x[1][:, :, None, None],
    "upsample_bilinear2d_x8": lambda x, a: F.interpolate(x[0], scale_factor=8, mode="bilinear", align_corners=False),
    "concat_4": lambda x, a: torch.cat(x, 1),
    "layer_norm": lambda x, a: F.layer_norm(x[0], x[0].shape[1:], x[1], x[2], 1e-12),
    "add_layer_norm": lambda x, a: F.layer_norm(F.dropout(x[1], 0.1, training=True).add_(x[0]), x[0].shape[1:], x[2], x[3], 1e-12),
    "linear_gelu": lambda x, a: F.gelu(F.linear(x[0], x[1], x[2])),
    "softmax": lambda x, a: F.softmax(x[0], -1),
    "gelu": lambda x, a: F.gelu(x[0]),
    "dropout": lambda x, a: F.dropout(x[0], 0.1, training=True),
    "l2_normalize": lambda x, a: F.normalize(x[0], dim=-1),
    "embedding": lambda x, a: F.embedding(x[1], x[0]),
    "cross_entropy": lambda x, a: F.cross_entropy(x[0], x[1]),
    "linear_cross_entropy": lambda x, a: F.cross_entropy(F.linear(x[0], x[1], x[2]), x[3]),
    "cmpm": lambda x, a: cmpm(*x),
    "info_nce": lambda x, a: info_nce(x[0], x[1], 10.0),
    "euclidean_loss": lambda x, a: torch.linalg.vector_norm((x[0] - x[1]).flatten(1), dim=1, dtype=torch.float32).mean(),
}
# Ops whose vectors PyTorch wants in the type of the rest.
VECTORS_TOO = {"layer_norm", "add_layer_norm", "linear_gelu", "linear_cross_entropy"}
APART = {"attention", "adamw", "gradient_norm"}  # made by functions of their own below
WITHOUT = {"adan"}  # not in PyTorch
# PyTorch hands out views there and leaves the copying to what comes next.
VIEWS = {("concat_4", "Backward")}


def stored(case, values, as_stored):
    return values.to(torch.bfloat16) if as_stored and case["type"] == "bf16" else values


def upload(case, item, channels_last):
    kind, shape = item["kind"], item["shape"]
    if kind == "Index":
        return torch.randint(0, item["range"], shape, device="cuda")
    if kind == "Offsets":
        return torch.tensor(item["values"], device="cuda")
    x = stored(case, torch.randn(shape, device="cuda") * item["scale"] + item["shift"], item["stored"] or case["op"] in VECTORS_TOO)
    if kind == "Picture":
        x = x.permute(0, 3, 1, 2)
    elif kind == "Filter":
        x = x.permute(3, 2, 0, 1)
    else:
        return x
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format).clone()


def work(case, op, inputs):
    """What is timed: the op without a tape, or the gradients of its leaves of a tape that is kept."""
    if case["pass"] == "Forward":
        def forward():
            with torch.inference_mode():
                op(inputs)
        return forward
    leaves = [inputs[i].requires_grad_() for i in case["leaves"]]
    y = op(inputs)
    dy = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True)


def attention(case):
    """Captions padded to the longest with a mask, and packed ones as nested tensors."""
    heads, width = case["args"][0], case["inputs"][0]["shape"][1]
    offsets = case["inputs"][3]["values"]
    lengths = [b - a for a, b in zip(offsets, offsets[1:])]
    count, longest = len(lengths), max(lengths)

    def padded():
        mask = torch.arange(longest, device="cuda")[None] < torch.tensor(lengths, device="cuda")[:, None]
        mask = mask[:, None, None, :]
        split = lambda t: t.view(count, longest, heads, width // heads).transpose(1, 2)
        x = [stored(case, torch.randn(count, longest, width, device="cuda"), True) for _ in range(3)]
        return work(case, lambda x: F.scaled_dot_product_attention(*map(split, x), attn_mask=mask).transpose(1, 2).reshape(count, longest, width), x)

    def nested():
        at = torch.tensor(offsets, device="cuda")
        split = lambda t: torch.nested.nested_tensor_from_jagged(t.view(-1, heads, width // heads), at, min_seqlen=min(lengths), max_seqlen=longest).transpose(1, 2)
        x = [stored(case, torch.randn(offsets[-1], width, device="cuda"), True) for _ in range(3)]
        return work(case, lambda x: F.scaled_dot_product_attention(*map(split, x)).transpose(1, 2).values().reshape(-1, width), x)
    return {"pytorch padded": padded, "pytorch nested": nested}


def adamw(case):
    def make():
        p = torch.nn.Parameter(torch.zeros(case["inputs"][0]["shape"], device="cuda"))
        p.grad = torch.randn_like(p)
        optimizer = torch.optim.AdamW([p], lr=1e-4, weight_decay=0.02, fused=True)
        return optimizer.step
    return {"pytorch fused": make}


def gradient_norm(case):
    def make():
        g = torch.randn(case["inputs"][0]["shape"], device="cuda")
        return lambda: torch.linalg.vector_norm(g)
    return {"pytorch": make}


def variants(case):
    if case["op"] == "attention":
        return attention(case)
    if case["op"] == "adamw":
        return adamw(case)
    if case["op"] == "gradient_norm":
        return gradient_norm(case)
    op = OPS[case["op"]]

    def make(channels_last):
        return lambda: work(case, lambda x: op(x, case["args"]), [upload(case, i, channels_last) for i in case["inputs"]])
    if any(i["kind"] == "Picture" for i in case["inputs"]):
        return {"pytorch channels_last": make(True), "pytorch nchw": make(False)}
    return {"pytorch": make(False)}


def median_ms(run, flushed):
    for _ in range(WARM):
        run()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    run()
    torch.cuda.synchronize()
    count = max(5, min(SAMPLES, int(MOST_SECONDS / (time.perf_counter() - begin))))
    marks = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(count)]
    for start, end in marks:
        flushed.zero_()
        start.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in marks)


def save(path, result):
    with open(path + ".part", "w") as file:
        json.dump(result, file, indent=1)
    os.replace(path + ".part", path)


def main(arguments):
    with open(arguments[0]) as file:
        cases = json.load(file)
    unknown = sorted({c["op"] for c in cases} - set(OPS) - APART - WITHOUT)
    if unknown:
        sys.exit(f"torch_twin.py: no counterpart of {', '.join(unknown)}")
    if arguments[1] == "--check":
        print(f"{len(cases)} cases, each op has its counterpart")
        return 0
    global torch, F
    import torch
    import torch.nn.functional as F
    if not torch.cuda.is_available():
        sys.exit("torch_twin.py: PyTorch sees no GPU")
    deadline = time.monotonic() + (float(arguments[3]) if len(arguments) > 3 and arguments[2] == "--seconds" else 1e9)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    flushed = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device="cuda")
    result = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "rows": []}
    failed = left = 0
    for case in cases:
        if case["op"] in WITHOUT or (case["op"], case["pass"]) in VIEWS:
            continue
        if time.monotonic() > deadline:
            left += 1
            continue
        times = {}
        for name, make in variants(case).items():
            try:
                times[name] = median_ms(make(), flushed)
            except (RuntimeError, TypeError, ValueError, NotImplementedError) as e:  # a variant that PyTorch has not; out of memory
                print(f"{case['name']}: {name}: {str(e).splitlines()[0]}", file=sys.stderr)
            torch.cuda.empty_cache()
        if not times:
            failed += 1
            continue
        best = min(times, key=times.get)
        result["rows"].append({"name": case["name"], "peer": best, "ms": times[best]})
        save(arguments[1], result)
        print(f"{case['name']:<66} {times[best]:10.4f} ms  {best}", flush=True)
    print(f"{len(result['rows'])} cases, {failed} failed, {left} not reached in time")
    return 1 if failed or left or not result["rows"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
