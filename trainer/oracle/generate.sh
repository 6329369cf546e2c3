#!/usr/bin/env bash
# Has real PyTorch write the numbers that trainer/src/oracle.rs compares with.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/../benches/pytorch.sh
source "$here/../benches/pytorch.sh"

install_pytorch
# Whole or not at all.
trap 'rm -f "$here/reference.json.part"' EXIT
env -u LD_LIBRARY_PATH "$venv/bin/python" "$here/reference.py" > "$here/reference.json.part"
mv "$here/reference.json.part" "$here/reference.json"
say "wrote trainer/oracle/reference.json"
