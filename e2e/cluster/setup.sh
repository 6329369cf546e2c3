#!/usr/bin/env bash
# Installs the Debian packages that building, testing and the playground cluster need, if they are missing.
# Nothing is started or enabled by it, and what is already installed is left as it is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/say.sh"

# "what to look for" : "package". A path is looked for as a file, the rest as a command.
needs=(
  # building
  cc:build-essential g++:build-essential strip:binutils git:git pkg-config:pkg-config
  /usr/lib/python3/dist-packages/pip:python3-pip
  # the cluster
  etcd:etcd-server containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins
  iptables:iptables conntrack:conntrack ip:iproute2 nsenter:util-linux openssl:openssl
  /bin/busybox:busybox-static
  # images
  buildah:buildah mmdebstrap:mmdebstrap
  /usr/share/datasets/fashion-mnist:dataset-fashion-mnist
  # tests on the host
  /usr/lib/postgresql:postgresql mosquitto:mosquitto mosquitto_pub:mosquitto-clients shellcheck:shellcheck
)

main() {
  local packages
  mapfile -t packages < <(missing)
  if ((${#packages[@]})); then
    install_packages "${packages[@]}"
  fi
  require_cargo
  "$here/go.sh" --check
}

missing() {
  local need probe
  for need in "${needs[@]}"; do
    probe=${need%:*}
    case $probe in
      /*) [[ -e $probe ]] || echo "${need##*:}" ;;
      *) PATH=$PATH:/usr/sbin:/sbin command -v "$probe" >/dev/null || echo "${need##*:}" ;;
    esac
  done | sort -u
}

install_packages() {
  [[ $(id -u) == 0 ]] || die "these packages are missing, and installing them needs root: $*"
  command -v apt-get >/dev/null || die "this is no Debian; install by hand what these packages hold: $*"
  say "installing $# Debian packages (about a minute): $*"
  local log
  log=$(mktemp)
  forbid_starting
  trap allow_starting EXIT
  # A broken third-party source must not stop us: what is missing afterwards is named by the install.
  apt-get update >"$log" 2>&1 || true
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; then
    tail -20 "$log" >&2
    die "apt-get install failed (whole log: $log)"
  fi
  rm -f "$log"
  allow_starting
  trap - EXIT
  disable_services "$@"
}

# Debian starts a service when its package is installed, unless policy-rc.d says no.
policy=/usr/sbin/policy-rc.d
forbid_starting() {
  [[ ! -e $policy ]] || mv "$policy" "$policy.before-haizen"
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
}

allow_starting() {
  rm -f "$policy"
  [[ ! -e $policy.before-haizen ]] || mv "$policy.before-haizen" "$policy"
}

# Only what has just been installed: a service that was there before is its owner's.
disable_services() {
  [[ -d /run/systemd/system ]] || return 0
  local service package
  for service in etcd:etcd-server containerd:containerd postgresql:postgresql mosquitto:mosquitto; do
    package=${service##*:}
    [[ " $* " != *" $package "* ]] || systemctl disable --quiet "${service%%:*}" || true
  done
}

require_cargo() {
  command -v cargo >/dev/null ||
    die "Rust is missing: install it (https://rustup.rs, or your distribution's rustup), version 1.92 or newer"
}

main
