"""Lines of `engine TAB {medianMs, minMs, maxMs}` as a table, and the ratio of the medians."""

import json
import statistics
import sys

medians = {"ours": [], "pytorch": []}
print("| run | engine | median ms | min | max |\n| --- | --- | --- | --- | --- |")
for line in sys.stdin:
    engine, text = line.rstrip("\n").split("\t")
    times = json.loads(text)
    medians[engine].append(times["medianMs"])
    run = len(medians[engine])
    print(f"| {run} | {engine} | {times['medianMs']} | {times['minMs']} | {times['maxMs']} |", flush=True)
ours, pytorch = (statistics.median(medians[engine]) for engine in ("ours", "pytorch"))
print(f"\nmedians over the runs: ours {ours:.1f} ms, PyTorch {pytorch:.1f} ms, ratio {ours / pytorch:.3f}")
