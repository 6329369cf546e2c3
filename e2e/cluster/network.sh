# shellcheck shell=bash
# The network namespace that is the cluster's node, and its link to the host.

make_network() {
  if network_works; then
    return
  fi
  remove_network
  refuse_taken_subnet
  ip netns add "$name"
  ip link add "$host_link" type veth peer name "$node_link" netns "$name"
  ip address add "$host_address/30" dev "$host_link"
  ip link set "$host_link" up
  ip -n "$name" address add "$node_address/30" dev "$node_link"
  ip -n "$name" link set lo up
  ip -n "$name" link set "$node_link" up
  # Without a default route packets to a service's address are refused before kube-proxy's rules see them.
  ip -n "$name" route add default via "$host_address"
  in_netns sysctl -qw net.ipv4.ip_forward=1
  # From the host, pods and services are reached like from a node.
  ip route add "$pod_cidr" via "$node_address"
  ip route add "$service_cidr" via "$node_address"
}

network_works() {
  in_netns true 2>/dev/null && ip link show "$host_link" >/dev/null 2>&1 &&
    [[ -n $(ip route show "$service_cidr") ]]
}

# Deleting one end of the link deletes the other and its routes; the rest goes with the namespace.
remove_network() {
  ip link delete "$host_link" 2>/dev/null || true
  ip netns delete "$name" 2>/dev/null || true
  # A file that an earlier boot left is no namespace, and `ip netns delete` may refuse it.
  if [[ -e /run/netns/$name ]]; then
    umount "/run/netns/$name" 2>/dev/null || true
    rm -f "/run/netns/$name"
  fi
  # `ip netns add` mounts this folder upon itself; with nothing left in it nobody needs that.
  if is_empty /run/netns; then
    umount /run/netns 2>/dev/null || true
  fi
}

is_empty() { [[ -d $1 && -z $(ls -A "$1") ]]; }

refuse_taken_subnet() {
  local taken
  taken=$(ip -o -4 route show root "$subnet.0.0/16"; ip -o -4 route show match "$subnet.0.0/16" | grep -v '^default' || true)
  [[ -z $taken ]] ||
    die "the addresses $subnet.0.0/16 are in use here ($taken); choose others: HAIZEN_SUBNET=10.77 make cluster"
}
