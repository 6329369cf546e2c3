#!/usr/bin/env bash
# Puts libtorch (headers and libraries) and ONNX Runtime into the cache folder, from PyPI wheels.
# What stands there is complete: it is made in a temporary folder and renamed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HAIZEN_CACHE:-$HOME/.cache/haizen}
native=$cache/native
torch_version=2.13.0
ort_version=1.32.0
torch_dir=$native/libtorch-$torch_version
ort_dir=$native/onnxruntime-$ort_version

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

main() {
  mkdir -p "$native"
  exec 9>"$native/.lock"
  flock 9
  if [[ -d $torch_dir && -d $ort_dir ]]; then
    return
  fi
  require
  work=$(mktemp -d "$native/.tmp.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "fetching libtorch $torch_version and ONNX Runtime $ort_version (570 MB from PyPI, once, about half a minute)"
  download
  place_torch
  place_onnxruntime
  say "native libraries ready: $(du -sh "$native" | cut -f1) in $native"
}

require() {
  [[ $(uname -sm) == "Linux x86_64" ]] ||
    die "native libraries are prepared for Linux x86_64 only; set LIBTORCH and ORT_DYLIB_PATH to your own"
  python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is missing: run 'make setup'"
  command -v strip >/dev/null || die "strip is missing: run 'make setup' (package binutils)"
}

# The wheels are named for one Python so that the same files arrive whatever Python this machine has.
download() {
  local platforms=(--platform manylinux2014_x86_64)
  local minor
  for minor in 17 24 25 26 27 28; do
    platforms+=(--platform "manylinux_2_${minor}_x86_64")
  done
  python3 -m pip download --quiet --no-cache-dir --no-deps --only-binary=:all: \
    --implementation cp --python-version 3.11 "${platforms[@]}" \
    --require-hashes --requirement "$here/native.txt" --dest "$work/wheels"
}

# unpack PACKAGE FOLDER NAME_PATTERN: the matching members of one wheel.
unpack() {
  python3 - "$work/wheels/$1"-*.whl "$2" "$3" <<'PY'
import re, sys, zipfile
wheel, folder, pattern = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    names = [n for n in z.namelist() if re.fullmatch(pattern, n)]
    if not names:
        sys.exit(f"{wheel}: nothing matches {pattern}")
    z.extractall(folder, names)
PY
}

# A CPU trainer needs five libraries of the CUDA build; the wheel's libtorch.so would pull in the
# CUDA half, so a linker script that names the CPU half stands in for it at link time.
place_torch() {
  [[ ! -d $torch_dir ]] || return 0
  unpack torch "$work/t" 'torch/include/.*|torch/lib/(libtorch_cpu|libc10)\.so|torch/lib/libgomp\.so\.1'
  unpack nvidia_cuda_cupti "$work/t" 'nvidia/cu13/lib/libcupti\.so\.13'
  unpack nvidia_cuda_runtime "$work/t" 'nvidia/cu13/lib/libcudart\.so\.13'
  local lib=$work/t/torch/lib
  mv "$work"/t/nvidia/cu13/lib/*.so.* "$lib/"
  chmod u+w,a+r "$lib"/*
  strip --strip-unneeded "$lib"/*
  ln -s libgomp.so.1 "$lib/libgomp.so"
  echo 'INPUT(libtorch_cpu.so)' >"$lib/libtorch.so"
  echo "$torch_version" >"$work/t/torch/build-version"
  mv "$work/t/torch" "$torch_dir"
}

place_onnxruntime() {
  [[ ! -d $ort_dir ]] || return 0
  unpack onnxruntime "$work/o" "onnxruntime/capi/libonnxruntime\\.so\\.${ort_version//./\\.}"
  mv "$work/o/onnxruntime/capi" "$work/ort"
  chmod a+r "$work/ort"/*
  ln -s "libonnxruntime.so.$ort_version" "$work/ort/libonnxruntime.so"
  mv "$work/ort" "$ort_dir"
}

main "$@"
