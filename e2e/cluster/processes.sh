# shellcheck shell=bash
# Starting, recognising and ending the cluster's processes. Only processes that carry our mark are ever ended:
# a pid file alone proves nothing, since pids are used again.

# start NAME COMMAND...: in the cluster's network namespace, detached, unless it already runs.
start() {
  local component=$1
  shift
  if is_running "$component"; then
    return
  fi
  HAIZEN_PLAYGROUND=$state setsid nsenter --net="/run/netns/$name" -- "$@" \
    </dev/null >>"$logs/$component.log" 2>&1 8>&- 9>&- &
  echo $! >"$pids/$component"
}

is_running() { [[ -f $pids/$1 ]] && is_ours "$(<"$pids/$1")"; }

is_ours() { [[ -n $1 ]] && grep -qzxF "HAIZEN_PLAYGROUND=$state" "/proc/$1/environ" 2>/dev/null; }

# Every process of ours: the components and containerd's shims by their mark, containers by their cgroup.
our_processes() {
  grep -lzxF "HAIZEN_PLAYGROUND=$state" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
  local folder
  for folder in $(our_cgroups); do
    find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done
}

our_cgroups() {
  local root
  for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [[ ! -d $root/$name ]] || echo "$root/$name"
  done
}

end_processes() {
  local round
  for round in {1..100}; do
    mapfile -t found < <(our_processes | sort -un)
    ((${#found[@]})) || return 0
    # First those that would start others again, politely; from the second round on, whatever is left.
    if ((round == 1)); then
      end_politely kubelet controller-manager scheduler proxy apiserver etcd
    else
      kill -KILL "${found[@]}" 2>/dev/null || true
    fi
    sleep 0.1
  done
  die "these processes do not end: ${found[*]}"
}

end_politely() {
  local component round
  for component in "$@"; do
    ! is_running "$component" || kill -TERM "$(<"$pids/$component")" 2>/dev/null || true
  done
  for round in {1..30}; do
    any_running "$@" || return 0
    sleep 0.1
  done
}

any_running() {
  local component
  for component in "$@"; do
    ! is_running "$component" || return 0
  done
  return 1
}

# wait_for SECONDS WHAT LOG COMMAND...
wait_for() {
  local limit=$1 what=$2 log=$3 start=$SECONDS
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS - start > limit)); then
      say "$what: not ready after ${limit}s; the end of $logs/$log.log:"
      tail -8 "$logs/$log.log" >&2 || true
      return 1
    fi
    sleep 0.2
  done
}
