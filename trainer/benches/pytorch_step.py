"""Times PyTorch's training step on the network that `trainer bench-step` times; prints the same line of JSON.

PyTorch's best configuration on a CPU: channels last, and (set by bench-trainer.sh) a heap that keeps its memory.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn

# Expand, channels, repeats, stride.
STAGES = [(1, 8, 1, 1), (6, 16, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1)]


def conv(inputs, outputs, kernel=1, stride=1, groups=1, act=True):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return layers + [nn.ReLU6(inplace=True)] if act else layers


class Block(nn.Module):
    def __init__(self, inputs, expand, outputs, stride):
        super().__init__()
        hidden = inputs * expand
        layers = conv(inputs, hidden) if expand > 1 else []
        layers += conv(hidden, hidden, 3, stride, hidden) + conv(hidden, outputs, act=False)
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


def mobilenet():
    layers, channels = conv(3, 16, 3), 16
    for expand, outputs, repeats, stride in STAGES:
        for index in range(repeats):
            layers.append(Block(channels, expand, outputs, stride if index == 0 else 1))
            channels = outputs
    layers += conv(channels, 1280) + [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10)]
    return nn.Sequential(*layers)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--fused", action="store_true", help="the fused optimizer")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    net = mobilenet().to(memory_format=torch.channels_last)
    assert sum(p.numel() for p in net.parameters()) == 700_490
    pixels = torch.randn(64, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (64,))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, fused=args.fused or None)
    loss_of = nn.CrossEntropyLoss()
    times = []
    for step in range(args.warm_up + args.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of(net(pixels), labels).backward()
        optimizer.step()
        if step >= args.warm_up:
            times.append((time.perf_counter() - start) * 1e3)
    line = {
        "medianMs": round(statistics.median(times), 2),
        "minMs": round(min(times), 2),
        "maxMs": round(max(times), 2),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(line))


main()
