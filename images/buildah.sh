#!/usr/bin/env bash
# buildah with a storage of our own, apart from the user's images, and without needing a sandbox of its own.
set -euo pipefail

cache=${HAIZEN_CACHE:-$HOME/.cache/haizen}
mkdir -p "$cache/buildah"
command=$1
shift
case $command in
  bud) set -- --isolation chroot "$@" ;;
esac
exec buildah --root "$cache/buildah" --runroot /run/haizen-buildah --storage-driver overlay "$command" "$@"
