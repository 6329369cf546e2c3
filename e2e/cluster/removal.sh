# shellcheck shell=bash
# Taking the cluster away without a trace: processes, mounts, network, files, settings, each only if it is ours.

remove_everything() {
  end_processes
  remove_shim_sockets
  unmount_everything
  remove_network
  restore_sysctls
  # Whatever is still mounted below must survive this.
  rm -rf --one-file-system "$state" "$run"
  remove_cgroups
  remove_cni_results
  remove_kubelet_litter
}

# From below upwards, until none is left; a mount that will not go stops the removal of files.
unmount_everything() {
  local round
  for round in {1..10}; do
    mapfile -t mounts < <(awk '{print $5}' /proc/self/mountinfo | grep -E "^($state|$run)/" | sort -r)
    ((${#mounts[@]})) || return 0
    umount -l "${mounts[@]}" 2>/dev/null || true
  done
  die "these mounts do not go: ${mounts[*]}"
}

# containerd keeps the sockets of its shims in one place, whatever its configuration says; those on which
# nobody listens any more are litter.
remove_shim_sockets() {
  local socket
  for socket in /run/containerd/s/*; do
    [[ ! -S $socket ]] || grep -qF "$socket" /proc/net/unix || rm -f "$socket"
  done
  rmdir /run/containerd/s /run/containerd 2>/dev/null || true
}

remove_cgroups() {
  local folder
  for folder in $(our_cgroups); do
    find "$folder" -depth -type d -exec rmdir {} +
  done
}

# The network plugins' notes, in one place for everybody; each names the sandbox it was for.
remove_cni_results() {
  grep -lsF "\"$run/" /var/lib/cni/results/* | xargs -r rm -f || true
  rmdir /var/lib/cni/results /var/lib/cni 2>/dev/null || true
}

# Two places that kubelet's configuration can't move; both are empty when no kubelet runs.
remove_kubelet_litter() {
  find /var/log/containers -lname "$state/*" -delete 2>/dev/null || true
  rm -f /var/lib/kubelet/device-plugins/kubelet.sock
  rmdir /var/log/containers /var/lib/kubelet/device-plugins /var/lib/kubelet 2>/dev/null || true
}

# Kubelet sets these for the whole machine.
sysctls=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

remember_sysctls() {
  [[ -f $state/sysctls ]] || sysctl "${sysctls[@]}" >"$state/sysctls" 2>/dev/null || true
}

restore_sysctls() {
  [[ ! -f $state/sysctls ]] || sysctl -q -p "$state/sysctls" 2>/dev/null || true
}
