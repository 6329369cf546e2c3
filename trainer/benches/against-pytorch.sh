#!/usr/bin/env bash
# Seven runs of our training step and of PyTorch's, in turns, as a table; both with two threads.
# PyTorch gets what it is fastest with here: channels last and a heap that keeps its memory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=SCRIPTDIR/pytorch.sh
source "$here/pytorch.sh"
runs=${RUNS:-7}

ours() { "$root/target/fast/trainer" --threads 2 bench-step; }

# Without our libtorch, which has no CUDA half for the wheel to load.
pytorch() {
  env -u LD_LIBRARY_PATH MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456 \
    "$venv/bin/python" "$here/pytorch_step.py" --threads 2
}

install_pytorch
say "load before: $(cut -d' ' -f1-3 /proc/loadavg); figures count only on a quiet machine"
for ((run = 1; run <= runs; run++)); do
  for engine in ours pytorch; do
    printf '%s\t%s\n' "$engine" "$("$engine")"
  done
done | python3 "$here/table.py"
say "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
