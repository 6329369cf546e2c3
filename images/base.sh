#!/usr/bin/env bash
# Makes the base image where no registry has one, Debian bookworm with the packages that debian:bookworm-slim
# has and the two that our programs need, and prints its name. It is made again each month, for security updates.
set -euo pipefail

images_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$images_dir/../e2e/cluster/say.sh"
packages=ca-certificates,tzdata
base=localhost/haizen/base:bookworm-$(date +%Y-%m)
work=

main() {
  if ! "$images_dir/buildah.sh" inspect --type image "$base" >/dev/null 2>&1; then
    make_base
  fi
  echo "$base"
}

make_base() {
  say "making the base image from Debian's packages (up to a minute, once a month)"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  local tree
  local exclude=()
  for tree in man doc locale info; do
    exclude+=("--dpkgopt=path-exclude=/usr/share/$tree/*")
  done
  mmdebstrap --quiet --variant=minbase "${exclude[@]}" --include="$packages" bookworm "$work/rootfs.tar" >&2 ||
    die "mmdebstrap failed"
  printf 'FROM scratch\nADD rootfs.tar /\nCMD ["/bin/bash"]\n' >"$work/Containerfile"
  "$images_dir/buildah.sh" bud --quiet --tag "$base" "$work" >/dev/null
}

main
