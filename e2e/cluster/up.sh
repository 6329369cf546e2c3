#!/usr/bin/env bash
# Provides a cluster and writes its kubeconfig to target/cluster/kubeconfig: the one that HAIZEN_KUBECONFIG
# names, else k3s if it is installed, else upstream Kubernetes built from Go modules. May be repeated.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"

main() {
  mkdir -p "$bin"
  local kind kubeconfig
  kind=$(choose)
  case $kind in
    external) kubeconfig=$HAIZEN_KUBECONFIG ;;
    k3s) kubeconfig=/etc/rancher/k3s/k3s.yaml ;;
    upstream)
      kubeconfig=$kubeconfigs/admin
      "$here/upstream.sh" up
      ;;
  esac
  provide_clients "$kind"
  [[ $kubeconfig -ef $out/kubeconfig ]] || install -m 600 "$kubeconfig" "$out/kubeconfig"
  echo "$kind" >"$out/kind"
  "$bin/kubectl" --kubeconfig "$out/kubeconfig" get --raw /readyz >/dev/null ||
    die "the cluster of $kubeconfig does not answer"
  say "cluster ready ($kind): export KUBECONFIG=$out/kubeconfig"
}

choose() {
  if [[ -n ${HAIZEN_KUBECONFIG:-} ]]; then
    [[ -r $HAIZEN_KUBECONFIG ]] || die "HAIZEN_KUBECONFIG names no readable file: $HAIZEN_KUBECONFIG"
    echo external
  elif [[ -r /etc/rancher/k3s/k3s.yaml ]] && command -v k3s >/dev/null; then
    echo k3s
  else
    echo upstream
  fi
}

# kubectl and helm: those of the machine for a cluster of the machine, else ours.
provide_clients() {
  local client
  for client in kubectl helm; do
    if [[ $1 != upstream ]] && type -P "$client" >/dev/null; then
      ln -sf "$(type -P "$client")" "$bin/$client"
    else
      "$here/build.sh" "$client"
    fi
  done
}

main
