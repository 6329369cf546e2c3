#!/usr/bin/env bash
# Takes away what up.sh brought up. A cluster that was there before is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"

kind=$(cat "$out/kind" 2>/dev/null || echo upstream)
if [[ $kind != upstream ]]; then
  say "the cluster in use ($kind) is not ours; it is left alone"
elif [[ -d $state || -e /run/netns/$name || -d $run ]]; then
  "$here/upstream.sh" down
  say "the playground's cluster is gone"
else
  say "no cluster of ours runs here"
fi
rm -f "$out/kubeconfig" "$out/kind"
