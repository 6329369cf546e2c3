#!/usr/bin/env python3
"""What one hop costs in MediaPipe: the slope between two lengths of a chain of PassThroughs."""

import time

from figure import say
from mediapipe_graph import Timestamp, chain, create, graph

# Packets times stages of one chain, as in our own benchmark.
HOPS = 400_000
LENGTHS = ((10, 50), (50, 200))


def main():
    for how, threads, seconds in (
        ("1-thread", 1, inside),
        ("2-threads", 2, inside),
        ("fed-from-python-1-thread", 1, fed),
        ("fed-from-python-2-threads", 2, fed),
        ("one-in-flight", 2, one_in_flight),
        ("one-in-flight-1-thread", 1, one_in_flight),
    ):
        for short, long in LENGTHS:
            packets = HOPS // long
            slope = seconds(long, threads, packets) - seconds(short, threads, packets)
            say(f"hop/{how}/{short}-{long}", slope / packets / (long - short) * 1e9, "ns")


def inside(stages, threads, packets):
    """Packets made and gathered in C++: Python gives one list and gets one."""
    run = graph(
        f'input_stream: "list" output_stream: "done" num_threads: {threads}\n'
        'node { calculator: "BeginLoopFloatCalculator" input_stream: "ITERABLE:list" output_stream: "ITEM:s0" '
        'output_stream: "BATCH_END:end" }\n'
        + chain(stages)
        + f'node {{ calculator: "EndLoopFloatCalculator" input_stream: "ITEM:s{stages}" '
        'input_stream: "BATCH_END:end" output_stream: "ITERABLE:done" }\n'
    )
    done = []
    run.observe_output_stream("done", lambda _, packet: done.append(time.perf_counter()))
    run.start_run()
    begun = time.perf_counter()
    values = create.create_float_vector([0.5] * packets)
    run.add_packet_to_input_stream(stream="list", packet=values.at(Timestamp(1)))
    run.close_all_packet_sources()
    run.wait_until_done()
    return done[0] - begun


def open_chain(stages, threads, seen):
    run = graph(
        f'input_stream: "s0" output_stream: "s{stages}" num_threads: {threads}\n' + chain(stages)
    )
    run.observe_output_stream(f"s{stages}", lambda _, packet: seen.append(packet))
    run.start_run()
    return run, create.create_int(1)


def fed(stages, threads, packets):
    """Python feeds each packet and sees each."""
    seen = []
    run, packet = open_chain(stages, threads, seen)
    begun = time.perf_counter()
    for at in range(packets):
        run.add_packet_to_input_stream(stream="s0", packet=packet.at(Timestamp(at)))
    run.close_all_packet_sources()
    run.wait_until_done()
    seconds = time.perf_counter() - begun
    assert len(seen) == packets
    return seconds


def one_in_flight(stages, threads, packets):
    """The next packet is fed when the last has come out."""
    seen = []
    run, packet = open_chain(stages, threads, seen)
    begun = time.perf_counter()
    for at in range(packets):
        run.add_packet_to_input_stream(stream="s0", packet=packet.at(Timestamp(at)))
        run.wait_until_idle()
    seconds = time.perf_counter() - begun
    run.close_all_packet_sources()
    run.wait_until_done()
    assert len(seen) == packets
    return seconds


if __name__ == "__main__":
    main()
