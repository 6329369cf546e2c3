#!/usr/bin/env python3
"""What one element costs in GStreamer: the slope between two lengths of a chain of identities."""

from figure import say
from gstreamer_pipeline import run

# Buffers times elements of one chain; Python only waits for the end.
HOPS = 2_000_000


def main():
    for how, link, lengths, hops in (
        ("1-thread", "identity", ((10, 50), (50, 200)), HOPS),
        ("queue-each", "queue ! identity", ((10, 50),), HOPS // 5),
        ("queue-of-1-each", "queue max-size-buffers=1 ! identity", ((10, 50),), HOPS // 20),
    ):
        for short, long in lengths:
            buffers = hops // long
            slope = seconds(link, long, buffers) - seconds(link, short, buffers)
            say(f"hop/{how}/{short}-{long}", slope / buffers / (long - short) * 1e9, "ns")


def seconds(link, stages, buffers):
    return run(f"fakesrc num-buffers={buffers} ! " + f"{link} ! " * stages + "fakesink")


if __name__ == "__main__":
    main()
