"""A measured number, said as one line of JSON; the same names as the benchmark of our own runtime uses."""

import json
import math


def say(name, value, unit):
    print(json.dumps({"figure": name, "value": value, "unit": unit}), flush=True)


def quantile(values, share):
    """The value that a share of all stays below; 1 gives the largest."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(len(ordered) * share)) - 1]


def say_paced(section, ages_us):
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1)):
        say(f"{section}/{name}", quantile(ages_us, share), "µs")


def say_overload(section, seconds, starts_ms, ends_ms, late_ms):
    say(f"{section}/rate", len(ends_ms) / seconds, "fps")
    say(f"{section}/start-age-p50", quantile(starts_ms, 0.5), "ms")
    say(f"{section}/start-age-max", max(starts_ms), "ms")
    say(f"{section}/end-age-max", max(ends_ms), "ms")
    say(f"{section}/source-late-max", max(late_ms), "ms")


def resident_mib(process="self"):
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
