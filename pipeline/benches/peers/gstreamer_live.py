#!/usr/bin/env python3
"""GStreamer in real time: `paced`, `overload` or `memory`. Probes in Python stand behind the camera and at the end."""

import subprocess
import sys
import time

from figure import resident_mib, say, say_overload, say_paced
from gstreamer_pipeline import CAMERA, run, watch

STAGES = 10
FRAMES = 600
SECONDS = 10
FPS = 30


def main():
    what = sys.argv[1]
    if what == "paced":
        paced("paced", "identity ! ")
        paced("paced/queue-each", "queue ! identity ! ")
    elif what == "overload":
        overload("overload", "downstream")
        overload("overload/leaky-upstream", "upstream")
    else:
        say("memory/resident", resident_with_50(), "MiB")


def paced(section, link):
    made_at, ages = {}, []

    def prepare(pipeline):
        watch(pipeline, "camera", "src", lambda pts: made_at.__setitem__(pts, time.perf_counter()))
        watch(pipeline, "end", "sink", lambda pts: ages.append((time.perf_counter() - made_at[pts]) * 1e6))

    run(f"{CAMERA.format(FRAMES)} ! " + link * STAGES + "fakesink name=end", prepare)
    assert len(ages) == FRAMES
    say_paced(section, ages)


def overload(section, leaky):
    """A queue of one frame that gives way: `downstream` keeps the newest frame, `upstream` the oldest."""
    made_at, starts, ends, late = {}, [], [], []

    def camera(pts):
        made_at[pts] = time.perf_counter()
        # The first frame sets the time that all others are due by.
        due = made_at[min(made_at)] + (pts - min(made_at)) / 1e9
        late.append((made_at[pts] - due) * 1e3)

    def prepare(pipeline):
        watch(pipeline, "camera", "src", camera)
        watch(pipeline, "stage", "sink", lambda pts: starts.append((time.perf_counter() - made_at[pts]) * 1e3))
        watch(pipeline, "stage", "src", lambda pts: ends.append((time.perf_counter() - made_at[pts]) * 1e3))

    text = f"queue leaky={leaky} max-size-buffers=1 ! identity name=stage sleep-time=110000 ! fakesink"
    seconds = run(f"{CAMERA.format(SECONDS * FPS)} ! {text}", prepare)
    say_overload(section, seconds, starts, ends, late)


def resident_with_50():
    """Of a program that is only GStreamer, two seconds after its start."""
    text = "videotestsrc is-live=true ! video/x-raw,width=640,height=480 ! " + "identity ! " * 50 + "fakesink"
    with subprocess.Popen(["gst-launch-1.0", "-q", *text.split()]) as launched:
        time.sleep(2)
        mib = resident_mib(launched.pid)
        launched.terminate()
    return mib


if __name__ == "__main__":
    main()
