#!/usr/bin/env bash
# Gets the peers that our figures stand beside: MediaPipe into a Python of its own in the cache folder, and Debian's
# GStreamer. Why one can't be had stands in NAME.missing there, and in its column of the table.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${HAIZEN_CACHE:-$HOME/.cache/haizen}/peers
packages=(gstreamer1.0-tools gstreamer1.0-plugins-base python3-gi gir1.2-gstreamer-1.0)

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }

main() {
  mkdir -p "$peers"
  exec 9>"$peers/.lock"
  flock 9
  rm -f "$peers"/*.missing
  get_mediapipe || missing mediapipe "$problem"
  get_gstreamer || missing gstreamer "$problem"
}

missing() {
  say "without $1: $2"
  echo "$2" >"$peers/$1.missing"
}

# The wheel holds the whole framework; only up to 0.10.21 could Python run any graph with it.
get_mediapipe() {
  local folder=$peers/mediapipe-0.10.14 python=python3.11
  [[ ! -x $folder/bin/python ]] || return 0
  problem="Python 3.11 is not installed"
  "$python" --version >/dev/null 2>&1 || return 1
  say "fetching MediaPipe 0.10.14 (130 MB from PyPI, once)"
  rm -rf "$folder.new"
  problem="$python can't make a virtual environment (Debian: install python3.11-venv)"
  "$python" -m venv "$folder.new" >&2 || return 1
  problem="pip couldn't install what $here/mediapipe.txt lists (it is for x86-64 and needs PyPI)"
  "$folder.new/bin/python" -m pip install --quiet --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
    --requirement "$here/mediapipe.txt" >&2 || return 1
  mv "$folder.new" "$folder"
}

get_gstreamer() {
  ! has_gstreamer || return 0
  problem="Debian's packages ${packages[*]} are missing, and installing them needs apt-get and root"
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  say "installing Debian's GStreamer: ${packages[*]}"
  local log=$peers/apt.log
  problem="apt-get couldn't install ${packages[*]} (see $log)"
  # A broken third-party source must not stop us: what is missing afterwards is named by the install.
  apt-get update >"$log" 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >>"$log" 2>&1
}

# Debian's own Python is the one its bindings are for.
has_gstreamer() {
  command -v gst-launch-1.0 >/dev/null && [[ -x /usr/bin/python3 ]] &&
    /usr/bin/python3 -c 'import gi; gi.require_version("Gst", "1.0"); from gi.repository import Gst' 2>/dev/null &&
    gst-inspect-1.0 --exists videotestsrc
}

main
