#!/usr/bin/env bash
# build.sh [IMAGE...]: builds the images (default: all) and brings them to the cluster of `make cluster`.
# What did not change since the last time is skipped. Names are localhost/haizen/IMAGE:dev: containerd takes
# a fully qualified name as it is, and with imagePullPolicy IfNotPresent asks no registry for it.
# HAIZEN_TAG sets another tag, PROFILE=release builds what is shipped, REGISTRY pushes to a registry instead, BASE takes another base image.
set -euo pipefail

images_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$(cd "$images_dir/../e2e/cluster" && pwd)
. "$here/settings.sh"
. "$images_dir/stage.sh"
. "$images_dir/deliver.sh"

tag=${HAIZEN_TAG:-dev}
registry=${REGISTRY:-localhost}
profile=${PROFILE:-fast}
context=$repo/target/images
all=(operator trainer edge-agent postgres mosquitto)

main() {
  local images=("$@")
  ((${#images[@]})) || images=("${all[@]}")
  way=$(find_way)
  mkdir -p "$context"
  exec 7>"$context/.lock"
  flock 7
  compile "${images[@]}"
  base=${BASE:-$("$images_dir/base.sh")}
  local image
  for image in "${images[@]}"; do
    one "$image"
  done
  buildah_ rmi --prune --force >/dev/null 2>&1 || true
}

buildah_() { "$images_dir/buildah.sh" "$@"; }

# One cargo call for all programs, in the profile and with the selection of packages that tests use too.
compile() {
  local image programs=
  for image in "$@"; do
    case $image in
      operator | trainer | edge-agent) programs=yes ;;
      postgres | mosquitto) ;;
      *) die "no such image: $image (there are ${all[*]})" ;;
    esac
  done
  [[ $programs ]] || return 0
  "$images_dir/fetch-native.sh"
  # shellcheck source=../e2e/env.sh
  . "$repo/e2e/env.sh"
  say "building the programs of the images (some minutes the first time)"
  (cd "$repo" && cargo build --quiet --profile "$profile" --workspace --bins)
}

one() {
  local image=$1 name=$registry/haizen/$1:$tag start=$SECONDS inputs
  stage "$image"
  inputs=$(inputs_hash "$image")
  if is_delivered "$name" "$inputs"; then
    say "$name: unchanged"
    return
  fi
  if [[ $(built_inputs "$name") != "$inputs" ]]; then
    buildah_ bud --quiet --layers --build-arg BASE="$base" --label haizen.dev/inputs="$inputs" \
      --tag "$name" --file "$images_dir/$image/Containerfile" "$context/$image" >"$context/$image.log" 2>&1 ||
      { tail -20 "$context/$image.log" >&2; die "$name: the build failed"; }
  fi
  deliver "$name" "$inputs"
}

built_inputs() {
  buildah_ inspect --type image --format '{{index .OCIv1.Config.Labels "haizen.dev/inputs"}}' "$1" 2>/dev/null || true
}

main "$@"
