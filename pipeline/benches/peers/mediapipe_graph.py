"""MediaPipe's graph from its text form."""

import os

# Its log is no part of the figures.
os.environ.setdefault("GLOG_minloglevel", "3")

# pylint: disable=wrong-import-position
from google.protobuf import text_format
from mediapipe.calculators.core import flow_limiter_calculator_pb2  # noqa: F401  (known to the parser from here on)
from mediapipe.framework import calculator_pb2
from mediapipe.python import packet_creator
from mediapipe.python._framework_bindings import calculator_graph, timestamp

Timestamp = timestamp.Timestamp
create = packet_creator


def graph(text):
    config = text_format.Parse(text, calculator_pb2.CalculatorGraphConfig())
    return calculator_graph.CalculatorGraph(graph_config=config)


def chain(stages):
    """PassThroughs from stream s0 to the stream of their number."""
    return "".join(
        f'node {{ calculator: "PassThroughCalculator" input_stream: "s{n}" output_stream: "s{n + 1}" }}\n'
        for n in range(stages)
    )
