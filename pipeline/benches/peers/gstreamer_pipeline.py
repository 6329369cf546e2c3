"""GStreamer's pipeline from its text form."""

import time

import gi

gi.require_version("Gst", "1.0")
# pylint: disable=wrong-import-position
from gi.repository import Gst  # noqa: E402

Gst.init(None)

CAMERA = (
    "videotestsrc name=camera pattern=black is-live=true num-buffers={} ! "
    "video/x-raw,width=640,height=480,framerate=30/1"
)


def run(text, prepare=None):
    """Seconds from play to the end of the stream. `prepare` gets the pipeline before it starts."""
    pipeline = Gst.parse_launch(text)
    if prepare:
        prepare(pipeline)
    pipeline.set_state(Gst.State.PAUSED)
    pipeline.get_state(Gst.CLOCK_TIME_NONE)
    begun = time.perf_counter()
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR
    )
    seconds = time.perf_counter() - begun
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        raise RuntimeError(message.parse_error())
    return seconds


def watch(pipeline, element, pad, seen):
    """Calls `seen` with each buffer's time (its name here) when it passes a pad."""

    def passes(_, info):
        seen(info.get_buffer().pts)
        return Gst.PadProbeReturn.OK

    pipeline.get_by_name(element).get_static_pad(pad).add_probe(Gst.PadProbeType.BUFFER, passes)
