#!/usr/bin/env python3
"""MediaPipe in real time: `paced`, `overload` or `memory`. It has no camera of its own, so Python is the camera."""

import sys
import time

from figure import resident_mib, say, say_overload, say_paced
from mediapipe_graph import Timestamp, chain, create, graph

PERIOD = 1 / 30
STAGES = 10
FRAMES = 600
SECONDS = 10
STAGE_SECONDS = 0.110


def main():
    what = sys.argv[1]
    if what == "paced":
        paced()
    elif what == "overload":
        overload("overload", 1)
        overload("overload/queue-0", 0)
    else:
        say("memory/resident", resident_with_50(), "MiB")


def frames(count):
    """Sleeps until each frame is due; gives its number, when it was made, and how late that was."""
    begun = time.perf_counter()
    for number in range(count):
        due = begun + number * PERIOD
        time.sleep(max(0, due - time.perf_counter()))
        made = time.perf_counter()
        yield number, made, made - due


def paced():
    run = graph(f'input_stream: "s0" output_stream: "s{STAGES}"\n' + chain(STAGES))
    made_at, ages = {}, []

    def end(_, packet):
        ages.append((time.perf_counter() - made_at[packet.timestamp.value]) * 1e6)

    run.observe_output_stream(f"s{STAGES}", end)
    run.start_run()
    packet = create.create_int(1)
    for number, made, _ in frames(FRAMES):
        made_at[number] = made
        run.add_packet_to_input_stream(stream="s0", packet=packet.at(Timestamp(number)))
    run.close_all_packet_sources()
    run.wait_until_done()
    assert len(ages) == FRAMES
    say_paced("paced", ages)


def overload(section, queue):
    """The stage stands in an observer and sleeps: Python lets the camera run meanwhile. An observer runs on the thread of
    the node before it, so that must not be the limiter, which has frames to let go of in that time."""
    run = graph(
        'input_stream: "frames" input_stream: "finished" output_stream: "passed" num_threads: 2\n'
        'node { calculator: "FlowLimiterCalculator" input_stream: "frames" input_stream: "FINISHED:finished" '
        'output_stream: "kept" options { [mediapipe.FlowLimiterCalculatorOptions.ext] '
        f"{{ max_in_flight: 1 max_in_queue: {queue} }} }} }}\n"
        'node { calculator: "PassThroughCalculator" input_stream: "kept" output_stream: "passed" }\n'
    )
    packet = create.create_int(1)
    made_at, starts, ends, late = {}, [], [], []

    def stage(_, kept):
        made = made_at[kept.timestamp.value]
        starts.append((time.perf_counter() - made) * 1e3)
        time.sleep(STAGE_SECONDS)
        ends.append((time.perf_counter() - made) * 1e3)
        run.add_packet_to_input_stream(stream="finished", packet=packet.at(kept.timestamp))

    run.observe_output_stream("passed", stage)
    run.start_run()
    begun = time.perf_counter()
    for number, made, late_by in frames(round(SECONDS / PERIOD)):
        made_at[number] = made
        run.add_packet_to_input_stream(stream="frames", packet=packet.at(Timestamp(number)))
        late.append(late_by * 1e3)
    say_overload(section, time.perf_counter() - begun, starts[:], ends[:], late)
    run.wait_until_idle()
    run.close_all_packet_sources()
    run.wait_until_done()


def resident_with_50():
    """Of Python with a graph that has taken a hundred packets."""
    run = graph('input_stream: "s0" output_stream: "s50"\n' + chain(50))
    run.observe_output_stream("s50", lambda _, packet: None)
    run.start_run()
    packet = create.create_int(1)
    for at in range(100):
        run.add_packet_to_input_stream(stream="s0", packet=packet.at(Timestamp(at)))
    run.wait_until_idle()
    mib = resident_mib()
    run.close_all_packet_sources()
    run.wait_until_done()
    return mib


if __name__ == "__main__":
    main()
