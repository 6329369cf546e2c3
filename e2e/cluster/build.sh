#!/usr/bin/env bash
# build.sh [--bin FOLDER] COMPONENT...: builds the playground's programs from Go modules, each once, and
# links them in FOLDER (default target/cluster/bin). Components: kubernetes kubectl helm
# coredns provisioner pause, and system: the image of the system pods, made of the last three.
# A finished build lies in the cache under the hash of its go.mod and go.sum; it is made in a temporary
# folder and renamed, so that an interrupted build never counts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/say.sh"

cache=${HAIZEN_CACHE:-$HOME/.cache/haizen}/bin
bin=$here/../../target/cluster/bin
work=

main() {
  if [[ ${1:-} == --bin ]]; then
    bin=$2
    shift 2
  fi
  mkdir -p "$cache" "$bin"
  exec 8>"$cache/.lock"
  flock -n 8 || { say "waiting for another build of the cluster's programs"; flock 8; }
  trap '[[ -z $work ]] || rm -rf "$work"' EXIT
  local component
  for component in "$@"; do
    provide "$component"
  done
}

provide() {
  local component=$1 folder
  folder=$cache/$component-$(inputs_hash "$component")
  if [[ ! -d $folder ]]; then
    work=$(mktemp -d "$cache/.tmp.XXXXXX")
    make_"$component" "$work"
    chmod 755 "$work"
    mv -T "$work" "$folder"
    work=
  fi
  ln -sf "$folder"/* "$bin/"
}

module_of() {
  case $1 in
    kubectl | pause) echo kubernetes ;;
    *) echo "$1" ;;
  esac
}

inputs_hash() {
  if [[ $1 == system ]]; then
    cat <(inputs_hash coredns) <(inputs_hash provisioner) <(inputs_hash pause) "$here/system.Containerfile" |
      sha256sum | cut -c1-12
    return
  fi
  (
    shopt -s nullglob
    cd "$here/$(module_of "$1")"
    cat go.mod go.sum ./*.go | sha256sum | cut -c1-12
  )
}

make_kubernetes() {
  compile "$1" kubernetes "the Kubernetes control plane and node (about 6 minutes on 2 cores, once)" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy}
}

make_kubectl() { compile "$1" kubernetes "kubectl (half a minute, once)" k8s.io/kubernetes/cmd/kubectl; }
make_helm() { compile "$1" helm "helm (1 to 2 minutes, once)" helm.sh/helm/v3/cmd/helm; }
make_coredns() { compile "$1" coredns "CoreDNS (1 to 2 minutes, once)" haizen.dev/cluster/coredns; }

make_provisioner() {
  compile "$1" provisioner "the local-path provisioner (about a minute, once)" \
    github.com/rancher/local-path-provisioner
}

# The pause program is a C file inside the Kubernetes module.
make_pause() {
  local go source
  go=$("$here/go.sh")
  source=$(cd "$here/kubernetes" && "$go" list -m -f '{{.Dir}}' k8s.io/kubernetes)/build/pause/linux/pause.c
  cc -Os -Wall -static -DVERSION=haizen -o "$1/pause" "$source"
  strip "$1/pause"
}

make_system() {
  local part
  for part in coredns provisioner pause; do
    provide_part "$part" "$1"
  done
  say "making the image of the system pods"
  cp /bin/busybox "$here/system.Containerfile" "$1/"
  "$here/../../images/buildah.sh" bud --quiet --tag localhost/haizen/system:playground \
    --file "$1/system.Containerfile" "$1" >/dev/null
  "$here/../../images/buildah.sh" push --quiet localhost/haizen/system:playground \
    "docker-archive:$1/system.tar:localhost/haizen/system:playground"
  find "$1" -type f ! -name system.tar -delete
}

provide_part() { cp "$cache/$1-$(inputs_hash "$1")"/* "$2/"; }

# compile FOLDER MODULE WHAT PACKAGE...
compile() {
  local folder=$1 module=$here/$2 what=$3 go flags total
  shift 3
  go=$("$here/go.sh")
  say "building $what"
  cd "$module"
  "$go" mod download >/dev/null
  flags=$(version_flags)
  total=$("$go" list -deps "$@" | wc -l)
  GOFLAGS=-mod=readonly CGO_ENABLED=0 "$go" build -v -trimpath -ldflags "-s -w $flags" -o "$folder/" "$@" \
    2>"$folder/log" &
  watch_build $! "$folder/log" "$total"
  rm -f "$folder/log"
  cd "$OLDPWD"
  say "built $(cd "$folder" && echo *) in ${SECONDS}s"
}

watch_build() {
  local pid=$1 log=$2 total=$3 next=20
  SECONDS=0
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if ((SECONDS >= next)); then
      say "  … ${SECONDS}s, $(grep -c / "$log") of at most $total packages compiled"
      next=$((SECONDS + 30))
    fi
  done
  wait "$pid" || {
    tail -20 "$log" >&2
    die "the build failed"
  }
}

# Without these the API server calls itself v0.0.0.
version_flags() {
  local version minor package flags=
  version=$(sed -n 's#^require k8s.io/kubernetes \(v[0-9.]*\)$#\1#p; s#^\tk8s.io/kubernetes \(v[0-9.]*\)$#\1#p' go.mod)
  [[ -n $version ]] || return 0
  minor=$(cut -d. -f2 <<<"$version")
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
    flags+=" -X $package.gitTreeState=clean -X $package.gitCommit=release"
  done
  echo "$flags"
}

main "$@"
