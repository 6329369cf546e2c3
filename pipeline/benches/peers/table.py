#!/usr/bin/env python3
"""Measures our runtime and its peers in turn and prints one table. `make bench-pipeline` runs it.

    table.py [SECTION ...] [--runs N] [--skip-long] [--json FILE]

Each round measures ours, then MediaPipe, then GStreamer, section by section; a cell is the median of all rounds."""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

from rows import GSTREAMER, MEDIAPIPE, PEERS, SECTIONS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = pathlib.Path(os.environ.get("HAIZEN_CACHE") or pathlib.Path.home() / ".cache/haizen") / "peers"
PYTHON = {MEDIAPIPE: CACHE / "mediapipe-0.10.14/bin/python", GSTREAMER: "/usr/bin/python3"}
OURS = "ours"
# Units that say in the row what they are of.
SHORT = {"a frame": "", "bytes a frame": "B"}
# The rest of the machine may use this share of its processors for a round to count as quiet.
QUIET = 0.03


def main():
    args = arguments()
    missing = {peer: reason(peer) for peer in PYTHON if reason(peer)}
    program = build()
    rounds = []
    for number in range(args.runs):
        print(f"round {number + 1} of {args.runs}", file=sys.stderr)
        sections = [section for section in args.sections if section != "paced-long"]
        rounds.append(one_round(program, sections, missing))
    if "paced-long" in args.sections and not args.skip_long:
        print("6,000 frames at 30 fps (200 s)", file=sys.stderr)
        rounds.append(one_round(program, ["paced-long"], missing))
    medians = gather(rounds)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"rounds": rounds}, indent=1), encoding="utf-8")
    head(args.runs, rounds, missing)
    for section in args.sections:
        body(SECTIONS[section], medians)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=[], metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--runs", type=int, default=5, help="rounds; 5 unless given")
    parser.add_argument("--skip-long", action="store_true", help="leave the 200 s of 6,000 frames out")
    parser.add_argument("--json", metavar="FILE", help="write every single figure too")
    args = parser.parse_args()
    unknown = [section for section in args.sections if section not in SECTIONS]
    if unknown or args.runs < 1:
        parser.error(f"sections are {', '.join(SECTIONS)}; runs at least 1")
    args.sections = args.sections or list(SECTIONS)
    return args


def reason(peer):
    """Why setup.sh couldn't get a peer."""
    note = CACHE / f"{peer}.missing"
    if note.exists():
        return note.read_text(encoding="utf-8").strip()
    return None if pathlib.Path(PYTHON[peer]).exists() else "not set up: run setup.sh"


def build():
    """The benchmark's program, once: cargo's own work is no part of a round."""
    command = "cargo bench --quiet -p pipeline --features ort --bench pipeline --no-run --message-format=json".split()
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    messages = map(json.loads, built.stdout.splitlines())
    # Cargo builds the package's programs too, in any order.
    return next(m["executable"] for m in messages if m.get("executable") and "bench" in m["target"]["kind"])


def one_round(program, sections, missing):
    figures, before, begun = [], busy_seconds(), time.monotonic()
    for section in sections:
        ours = [section, "--runs", "1"] if section != "paced-long" else ["paced", "--long"]
        figures += measure(OURS, [program, *ours, "--json"])
        for peer, script in PEERS.get(section, {}).items():
            if peer not in missing:
                figures += measure(peer, [PYTHON[peer], HERE / script[0], *script[1:]])
    after, wall = busy_seconds(), (time.monotonic() - begun) * os.cpu_count()
    others = (after["machine"] - before["machine"]) - (after["mine"] - before["mine"])
    return {"others": max(0, others / wall), "figures": figures}


def measure(who, command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    if who == OURS:
        # What could not be measured, and what limits a figure that is missed.
        sys.stderr.write(done.stderr)
    return [{"who": who, **json.loads(line)} for line in done.stdout.splitlines()]


def busy_seconds():
    """Processor time of the whole machine, and of this program with all it started."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    machine = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return {"machine": machine, "mine": sum(one.ru_utime + one.ru_stime for one in usage)}


def gather(rounds):
    """The median of each figure, and its unit, by who measured it."""
    values = {}
    for figure in (figure for one in rounds for figure in one["figures"]):
        key = figure["who"], figure["figure"]
        values.setdefault(key, ([], figure["unit"]))[0].append(figure["value"])
    return {key: (statistics.median(found), unit) for key, (found, unit) in values.items()}


def head(runs, rounds, missing):
    shares = [one["others"] for one in rounds]
    quiet = "quiet" if max(shares) <= QUIET else "NOT QUIET: compare columns only, don't quote"
    print(f"Medians of {runs} rounds (6,000 frames: one). Other work on the {os.cpu_count()} cores: median "
          f"{statistics.median(shares):.0%}, most {max(shares):.0%} ({quiet}).")
    for peer, why in missing.items():
        print(f"Without {peer}: {why}.")
    print("MediaPipe 0.10.14 (hops inside C++ unless said), GStreamer 1.22 without queues unless said.\n")
    line("figure", "goal", "ours", "MediaPipe", "GStreamer", "kept")
    line("---", "---", "---:", "---:", "---:", "---")


def body(rows, medians):
    for row in rows:
        cells = [cell(medians.get((who, row.name_for(who)))) for who in (OURS, MEDIAPIPE, GSTREAMER)]
        if any(cells) or row.goal:
            line(row.label, *cells_of_goal(row, medians, cells))


def line(label, goal, ours, mediapipe, gstreamer, kept):
    print(f"| {label:<47} | {goal:<24} | {ours:>10} | {mediapipe:>10} | {gstreamer:>10} | {kept:<4} |")


def cell(found):
    if not found:
        return ""
    value, unit = found
    if unit in ("ns", "µs") or value >= 100:
        digits = 0
    else:
        # Few is not none.
        digits = 4 if 0 < value < 0.1 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {SHORT.get(unit, unit.split()[0])}"


def cells_of_goal(row, medians, cells):
    """The goal in words, the three figures, and whether ours is there."""
    if not row.goal:
        return "", *cells, ""
    sign, limit = row.goal
    ours = medians.get((OURS, row.figure))
    unit = f" {ours[1]}" if ours else ""
    words = f"{sign} {limit:,}{unit}" + (", below both" if row.below else "")
    if not ours:
        return words, *cells, "-"
    peers = [medians.get((peer, row.name_for(peer))) for peer in row.below]
    kept = ours[0] <= limit if sign == "<=" else ours[0] >= limit
    kept = kept and all(ours[0] < peer[0] for peer in peers if peer)
    return words, *cells, "yes" if kept else "NO"


if __name__ == "__main__":
    main()
