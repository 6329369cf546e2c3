"""The rows of the table: which figures stand beside which, and what ours must reach."""

from dataclasses import dataclass


MEDIAPIPE, GSTREAMER = "mediapipe", "gstreamer"
BOTH = (MEDIAPIPE, GSTREAMER)


@dataclass(frozen=True)
class Row:
    figure: str
    label: str
    # What ours must be: ("<=", 120) or (">=", 95).
    goal: tuple = ()
    # The peers that ours must be below in the same run.
    below: tuple = ()
    # GStreamer's figure where it has another name.
    gstreamer: str = ""

    def name_for(self, who):
        return self.gstreamer if who == GSTREAMER and self.gstreamer else self.figure


def hops(how, label, goal=(), below=()):
    """GStreamer's elements call each other on one thread, however many packets there are: one figure for all."""
    for lengths in ("10-50", "50-200"):
        direct = f"hop/1-thread/{lengths}" if GSTREAMER in below else ""
        words = f"hop, {label}, N = {lengths.replace('-', ' to ')}"
        yield Row(f"hop/{how}/{lengths}", words, goal, below, direct)


SECTIONS = {
    "hop": [
        *hops("1-thread", "1 thread", goal=("<=", 120), below=BOTH),
        *hops("2-threads", "2 threads", goal=("<=", 144), below=BOTH),
        *hops("one-in-flight", "one in flight, 2 threads", goal=("<=", 180), below=BOTH),
        *hops("traced", "with tracing on", goal=("<=", 220)),
        *hops("one-in-flight-1-thread", "one in flight, 1 thread"),
        *hops("fed-from-python-1-thread", "fed from Python, 1 thread"),
        *hops("fed-from-python-2-threads", "fed from Python, 2 threads"),
        Row("hop/queue-each/10-50", "a queue of 200 before each"),
        Row("hop/queue-of-1-each/10-50", "a queue of 1 before each"),
    ],
    "paced": [
        Row("paced/p50", "10 empty stages at 30 fps, median"),
        Row("paced/p99", "p99", ("<=", 80), BOTH),
        Row("paced/max", "largest"),
        Row("paced/queue-each/p50", "a queue before each, median"),
        Row("paced/queue-each/p99", "p99"),
        Row("paced/queue-each/max", "largest"),
    ],
    "paced-long": [
        Row("paced-long/p99", "the same over 6,000 frames, p99", ("<=", 80)),
        Row("paced-long/p99.9", "p99.9", ("<=", 1_000)),
        Row("paced-long/max", "largest"),
    ],
    "overload": [
        Row("overload/rate", "30 fps, a stage of 110 ms: rate", (">=", 8.9)),
        Row("overload/start-age-p50", "age at start, median", ("<=", 18)),
        Row("overload/start-age-max", "age at start, largest", ("<=", 36)),
        Row("overload/end-age-max", "age at end, largest"),
        Row("overload/source-late-max", "source late, largest", ("<=", 2)),
        Row("overload/max-age-20/rate", "with maxAge 20 ms: rate"),
        Row("overload/max-age-20/start-age-max", "age at start, largest", ("<=", 20)),
        Row("overload/max-age-20/source-late-max", "source late, largest", ("<=", 2)),
        Row("overload/queue-0/rate", "limiter without a queue: rate"),
        Row("overload/queue-0/start-age-p50", "age at start, median"),
        Row("overload/leaky-upstream/rate", "queue that keeps the oldest: rate"),
        Row("overload/leaky-upstream/start-age-p50", "age at start, median"),
    ],
    "stages": [
        Row("stages/worst/rate", "2 to 4 unequal stages: lowest rate", (">=", 95)),
        Row("stages/worst/age-p95", "highest p95 of the age", ("<=", 100)),
        Row("stages/20to60+30to30/rate", "2 s after 20 ms became 60: rate", (">=", 95)),
        Row("stages/20to60+30to30/age-p95", "p95 of the age", ("<=", 100)),
        Row("stages/60to20+40to40/rate", "2 s after 60 ms became 20: rate", (">=", 95)),
        Row("stages/60to20+40to40/age-p95", "p95 of the age", ("<=", 100)),
    ],
    "steady": [
        Row(f"steady/{graph}/{what}", f"{label}, {words}", ("<=", 0))
        for graph, label in (
            ("camera-pass", "camera, 50 stages"),
            ("file-pass", "file, 50 stages"),
            ("camera-tensor", "camera to tensor"),
        )
        for what, words in (("allocations", "allocations a frame"), ("copied", "frame copied"))
        if (graph, what) != ("camera-tensor", "copied")
    ],
    "memory": [
        Row("memory/resident", "50 nodes, resident", ("<=", 20)),
        Row("memory/first-frame", "from start to a file's first frame", ("<=", 50)),
        Row("memory/in-process/resident", "no agent built; this program, resident"),
        Row("memory/in-process/first-frame", "from graph text to the first frame"),
    ],
    "cameras": [
        Row("cameras/own-detectors/spread", "4 cameras, a detector each: spread", ("<=", 10)),
        Row("cameras/one-detector-default/spread", "one detector for all: spread", ("<=", 10)),
        Row("cameras/one-detector-immediate/spread", "the same, immediate policy", ("<=", 10)),
        Row("cameras/high-priority", "frames of the high-priority branch", (">=", 99)),
    ],
    "centerface": [
        Row("centerface/share", "CenterFace at 30 fps, of ONNX Runtime alone", (">=", 97)),
        *(
            Row(f"centerface/{threads}-thread/{what}", f"{threads} thread{'s' * (threads > 1)}: {words}")
            for threads in (1, 2)
            for what, words in (
                ("alone/rate", "the loop alone"),
                ("newest/rate", "newest frame at the model"),
                ("paced/rate", "frames let in at its pace"),
            )
        ),
    ],
}

# Sections in which a peer has figures of its own, and the script that gives them.
PEERS = {
    "hop": {MEDIAPIPE: ["mediapipe_hop.py"], GSTREAMER: ["gstreamer_hop.py"]},
    "paced": {MEDIAPIPE: ["mediapipe_live.py", "paced"], GSTREAMER: ["gstreamer_live.py", "paced"]},
    "overload": {MEDIAPIPE: ["mediapipe_live.py", "overload"], GSTREAMER: ["gstreamer_live.py", "overload"]},
    "memory": {MEDIAPIPE: ["mediapipe_live.py", "memory"], GSTREAMER: ["gstreamer_live.py", "memory"]},
}
