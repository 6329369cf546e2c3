#!/usr/bin/env bash
# demo.sh [--down]: brings up what the demo needs, takes the time of it, and runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

main() {
  make --no-print-directory setup native
  if [[ ${1:-} == --down ]]; then
    demo --down
    return
  fi
  local start=$SECONDS cluster images
  make --no-print-directory cluster
  cluster=$((SECONDS - start))
  start=$SECONDS
  make --no-print-directory images
  # The demo's own program is built with the images' programs: its dependencies are theirs.
  build
  images=$((SECONDS - start))
  demo --cluster-seconds "$cluster" --images-seconds "$images"
}

build() { (. e2e/env.sh && cargo build --quiet --profile fast --workspace --bins); }

demo() {
  build
  # shellcheck source=env.sh
  (. e2e/env.sh && exec target/fast/demo "$@")
}

main "$@"
