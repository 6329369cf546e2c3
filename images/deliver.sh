# shellcheck shell=bash
# Brings a built image to where the cluster's pods find it, and knows whether it is there already.

# is_delivered NAME INPUTS
is_delivered() {
  case $way in
    push) [[ -f $(pushed_mark "$1") && $(<"$(pushed_mark "$1")") == "$2" ]] ;;
    *) [[ -n $(cluster_ctr images list --quiet "name==$1,labels.\"haizen.dev/inputs\"==$2" 2>/dev/null) ]] ;;
  esac
}

deliver() {
  local name=$1 inputs=$2 archive=$context/archive.tar
  if [[ $way == push ]]; then
    buildah_ push --quiet --tls-verify="${REGISTRY_TLS:-true}" "$name"
    echo "$inputs" >"$(pushed_mark "$name")"
    say "$name: pushed"
    return
  fi
  rm -f "$archive"
  buildah_ push --quiet "$name" "docker-archive:$archive:$name"
  cluster_ctr images import "$archive" >/dev/null
  cluster_ctr images label "$name" "haizen.dev/inputs=$inputs" >/dev/null
  say "$name: $(du -h "$archive" | cut -f1), built and imported in $((SECONDS - start))s"
  rm -f "$archive"
}

# How images reach the cluster: push, k3s or upstream.
find_way() {
  if [[ -n ${REGISTRY:-} ]]; then
    echo push
    return
  fi
  local kind
  kind=$(cat "$out/kind" 2>/dev/null || true)
  case $kind in
    upstream | k3s) echo "$kind" ;;
    external) die "the cluster of HAIZEN_KUBECONFIG needs a registry to take images from: set REGISTRY=host:port" ;;
    *) die "there is no cluster to bring images to: run 'make cluster' first" ;;
  esac
}

cluster_ctr() {
  case $way in
    k3s) k3s ctr --namespace k8s.io "$@" ;;
    *) ctr "$@" ;;
  esac
}

pushed_mark() { echo "$context/$(tr '/:' '--' <<<"$1").pushed"; }
