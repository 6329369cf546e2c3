# shellcheck shell=bash
# PyTorch of the version our libtorch comes from, in the cache folder; sourced by what compares with it.
cache=${HAIZEN_CACHE:-$HOME/.cache/haizen}
version=2.13.0
venv=$cache/peers/pytorch-$version

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }

# What stands at its place is complete: a folder without the mark is made again.
install_pytorch() {
  [[ ! -f $venv/.complete ]] || return 0
  say "installing PyTorch $version from PyPI (4.7 GB, once, some minutes)"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check "torch==$version" numpy
  touch "$venv/.complete"
}
