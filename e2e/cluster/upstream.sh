#!/usr/bin/env bash
# upstream.sh up|down: upstream Kubernetes as processes of this machine. `up` may be repeated: it starts what
# does not run, so that it also mends a cluster that lost processes or a machine that was restarted.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/settings.sh"
. "$here/pki.sh"
. "$here/network.sh"
. "$here/processes.sh"
. "$here/node.sh"
. "$here/control_plane.sh"
. "$here/removal.sh"

components=(etcd apiserver controller-manager scheduler containerd kubelet proxy)

main() {
  [[ $(id -u) == 0 ]] || die "the cluster's processes need root; or set HAIZEN_KUBECONFIG to a cluster you have"
  case $1 in
    up)
      lock
      up
      ;;
    down)
      lock
      remove_everything
      ;;
    # Only called by `up`, which holds the lock.
    start) start_everything ;;
  esac
}

lock() {
  exec 9>"/run/$name.lock"
  flock -n 9 || { say "waiting for another run of this script"; flock 9; }
}

up() {
  if is_healthy; then
    return
  fi
  refuse_other_kubelet
  local fresh=no
  [[ -d $state ]] || fresh=yes
  # Starting is a process of its own, so that its failure, wherever it is, comes back here.
  if "$0" start; then
    return
  fi
  [[ $fresh == no ]] || die "the cluster did not come up; logs: $logs"
  say "what an earlier run left does not work any more; starting from nothing"
  remove_everything
  "$0" start || die "the cluster did not come up; logs: $logs"
}

is_healthy() {
  local component
  for component in "${components[@]}"; do
    is_running "$component" || return 1
  done
  network_works && kubectl get --raw /readyz >/dev/null 2>&1 && node_is_ready 2>/dev/null
}

start_everything() {
  "$here/build.sh" kubernetes kubectl coredns provisioner pause system
  if ! any_running "${components[@]}"; then
    # Nothing of ours runs: whatever an interrupted run or an earlier boot left half-alive goes first.
    end_processes
    remove_shim_sockets
    unmount_everything
    remove_cni_results
    remove_network
    rm -rf "$run"
  fi
  say "starting Kubernetes (about 20 seconds)"
  mkdir -p "$state" "$run" "$logs" "$pids" "$state/volumes"
  remember_sysctls
  make_cgroup
  make_network
  make_pki
  write_node_config
  start_control_plane
  start_node
  start_system_pods
}

# Two kubelets on one machine would fight over more than ports.
refuse_other_kubelet() {
  local pid
  for pid in $(pgrep -x kubelet; pgrep -x k3s-server); do
    # One that is just dying has no program any more.
    [[ -z $(readlink "/proc/$pid/exe" 2>/dev/null) ]] || is_ours "$pid" || die "this machine already runs a kubelet (process $pid): set HAIZEN_KUBECONFIG to its cluster"
  done
}

main "$@"
