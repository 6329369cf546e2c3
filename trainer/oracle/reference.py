"""Reference numbers of real PyTorch for trainer/src/oracle.rs: prints JSON.

    make oracle

Weights and batches come from a formula that the Rust test repeats, so that only results have to be kept.
"""

import json
import math

import torch
from torch import nn
from torch.nn import functional as F

# One network of every kind of block and activation; the steps of one that is trained; blocks whose gradients count.
CURVE = (
    "m1/12x1/stem-h1-o8-k3-s2-hswish/ds-h8-o16-k5-s1-se-relu/ir-h32-o16-k3-s1-se-relu6/ir-h48-o24-k7-s2-hswish"
    "/ir-h24-o24-k3-s1-relu6/lighthead-h32-o4-k1-s1-relu6"
)
BLOCKS = [
    "m1/8x1/stem-h1-o4-k3-s2-relu6/ds-h4-o6-k3-s1-relu/head-h6-o3-k1-s1-relu6",
    "m1/8x1/stem-h1-o4-k3-s2-relu/ds-h4-o6-k5-s2-se-hswish/lighthead-h6-o3-k1-s1-hswish",
    "m1/8x3/stem-h3-o4-k5-s1-hswish/ir-h8-o4-k3-s1-relu6/head-h6-o3-k1-s1-hswish",
    "m1/8x1/stem-h1-o4-k3-s2-relu6/ir-h8-o6-k7-s2-se-relu6/head-h6-o3-k1-s1-relu",
    "m1/8x1/stem-h1-o4-k3-s2-relu6/ir-h4-o4-k5-s1-se-hswish/lighthead-h6-o3-k1-s1-relu6",
]
STEPS, BATCH = 20, 16
RECIPE = {"peak_rate": 0.05, "warmup": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4, "smoothing": 0.05}
ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish}


def numbers(stream, shape):
    """Even numbers from -1 to 1: an integer hash of (stream, position), exact in every language."""
    out = []
    for index in range(math.prod(shape)):
        x = (stream * 0x9E3779B1 + index * 0x85EBCA77 + 0x165667B1) & 0xFFFFFFFF
        for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
            x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
        x ^= x >> 15
        out.append((x >> 8) / (1 << 23) - 1.0)
    return torch.tensor(out, dtype=torch.float32).reshape(shape)


class Conv(nn.Module):
    def __init__(self, name, inputs, outputs, kernel, stride, groups, act):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = act() if act else nn.Identity()
        self.parts = [(f"{name}.weight", self.conv, "weight"), (f"{name}.norm.weight", self.norm, "weight"),
                      (f"{name}.norm.bias", self.norm, "bias")]

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        squeezed = max(channels // 4, 8)
        self.reduce, self.expand = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.parts = [(f"{n}.{p}", m, p) for n, m in (("reduce", self.reduce), ("expand_se", self.expand))
                      for p in ("weight", "bias")]

    def forward(self, x):
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Linear(nn.Module):
    def __init__(self, name, inputs, outputs, act=None):
        super().__init__()
        self.linear, self.act = nn.Linear(inputs, outputs), act() if act else nn.Identity()
        self.parts = [(f"{name}.weight", self.linear, "weight"), (f"{name}.bias", self.linear, "bias")]

    def forward(self, x):
        return self.act(self.linear(x))


class Pool(nn.Module):
    parts = []

    def forward(self, x):
        return x.mean((2, 3))


class Block(nn.Module):
    def __init__(self, word, inputs):
        super().__init__()
        kind, *rest = word.split("-")
        act = ACTIVATIONS[rest.pop()]
        squeeze = rest[-1] == "se"
        hidden, outputs, kernel, stride = (int(text[1:]) for text in rest[:4])
        self.outputs = outputs
        self.residual = kind == "ir" and stride == 1 and inputs == outputs
        if kind == "stem":
            layers = [Conv("conv", inputs, outputs, kernel, stride, 1, act)]
        elif kind == "head":
            layers = [Conv("conv", inputs, hidden, 1, 1, 1, act), Pool(), Linear("linear", hidden, outputs)]
        elif kind == "lighthead":
            layers = [Pool(), Linear("hidden", inputs, hidden, act), Linear("linear", hidden, outputs)]
        else:
            layers = [Conv("expand", inputs, hidden, 1, 1, 1, act)] if kind == "ir" and hidden != inputs else []
            layers.append(Conv("depthwise", hidden, hidden, kernel, stride, hidden, act))
            layers += [SqueezeExcite(hidden)] if squeeze else []
            layers.append(Conv("project", hidden, outputs, 1, 1, 1, act if kind == "ds" else None))
        if kind == "ir":
            layers[-1].act = nn.Identity()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + y if self.residual else y


class Net(nn.Module):
    def __init__(self, text):
        super().__init__()
        _, size, *words = text.split("/")
        self.side, channels = (int(n) for n in size.split("x"))
        self.channels, self.blocks = channels, nn.ModuleList()
        for word in words:
            self.blocks.append(Block(word, channels))
            channels = self.blocks[-1].outputs
        self.classes = channels
        self.named = [(f"{index}.{name}", module, part) for index, block in enumerate(self.blocks)
                      for layer in block.layers for name, module, part in layer.parts]
        with torch.no_grad():
            for stream, (name, module, part) in enumerate(self.named):
                tensor = getattr(module, part)
                values = numbers(stream, tensor.shape) * 0.5
                tensor.copy_(values + 1.0 if name.endswith("norm.weight") else values)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x

    def tensors(self):
        return [(name, getattr(module, part)) for name, module, part in self.named]

    def batch(self, step):
        pixels = numbers(1000 + step, (BATCH, self.channels, self.side, self.side)) * 0.5 + 0.5
        return pixels, torch.arange(BATCH) * 7 % 11 % self.classes


def rate(step):
    done, peak, warmup = step / STEPS, RECIPE["peak_rate"], RECIPE["warmup"]
    if done < warmup:
        return peak * (0.05 + 0.95 * done / warmup)
    falling = min((done - warmup) / (1.0 - warmup), 1.0)
    return peak * (0.001 + 0.999 * (0.5 + 0.5 * math.cos(math.pi * falling)))


def curve():
    net = Net(CURVE)
    # Biases and normalisation don't decay.
    decays = [tensor for name, tensor in net.tensors() if name.endswith(".weight") and "norm" not in name]
    others = [tensor for name, tensor in net.tensors() if not (name.endswith(".weight") and "norm" not in name)]
    groups = [{"params": decays, "weight_decay": RECIPE["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=RECIPE["momentum"], nesterov=RECIPE["nesterov"])
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad()
        pixels, labels = net.batch(step)
        loss = F.cross_entropy(net(pixels), labels, label_smoothing=RECIPE["smoothing"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    return {"architecture": CURVE, "losses": losses, "scores": rounded(net(net.batch(0)[0]))}


def rounded(tensor):
    return [float(f"{value:.7g}") for value in tensor.detach().flatten().tolist()]


def gradients(text):
    net = Net(text)
    pixels, labels = net.batch(0)
    loss = F.cross_entropy(net(pixels), labels)
    loss.backward()
    return {"architecture": text, "loss": loss.item(),
            "gradients": [[name, rounded(tensor.grad)] for name, tensor in net.tensors()]}


torch.set_num_threads(1)
print(json.dumps({"torch": torch.__version__.split("+")[0], "curve": curve(), "blocks": [gradients(b) for b in BLOCKS]},
                 separators=(",", ":")))
