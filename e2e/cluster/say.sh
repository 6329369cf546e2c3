# shellcheck shell=bash
# How the scripts here talk to the person who runs them.
say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}
