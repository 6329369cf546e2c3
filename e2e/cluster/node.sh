# shellcheck shell=bash
# The configuration of what makes the node: containerd, its network plugin, kubelet, kube-proxy.

write_node_config() {
  mkdir -p "$etc/cni"
  write containerd_config containerd.toml
  write cni_config "cni/10-$name.conflist"
  write kubelet_config kubelet.yaml
  write proxy_config proxy.yaml
}

# Whole and only if it differs: containerd reads its network's file the moment it changes, and a pod that
# starts just then with half of it would keep its name reserved for ever.
write() {
  "$1" >"$etc/new"
  cmp -s "$etc/new" "$etc/$2" || mv "$etc/new" "$etc/$2"
}

containerd_config() {
  cat <<E
version = 2
root = "$state/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "$containerd_socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$system_image"
  disable_tcp_service = true
  netns_mounts_under_state_dir = true
  # Lowering a score needs CAP_SYS_RESOURCE, which a sandboxed root lacks; without this every pod would fail.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$etc/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "$run/runc"
E
}

# Routed, not bridged: replies then always pass kube-proxy's rules, with or without br_netfilter.
cni_config() {
  cat <<E
{"cniVersion": "1.0.0", "name": "$name", "plugins": [
  {"type": "ptp", "ipMasq": true,
   "ipam": {"type": "host-local", "dataDir": "$run/cni", "ranges": [[{"subnet": "$pod_cidr"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
E
}

# Images are never collected: there is no registry to fetch them from again.
kubelet_config() {
  cat <<E
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet-server.crt
tlsPrivateKeyFile: $pki/kubelet-server.key
containerRuntimeEndpoint: unix://$containerd_socket
cgroupDriver: cgroupfs
cgroupRoot: /$name
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDomain: cluster.local
clusterDNS: [$dns_address]
maxPods: 250
volumePluginDir: $state/volume-plugins
podLogsDir: $state/pod-logs
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 240h
evictionHard: {memory.available: 200Mi, nodefs.available: 1Gi, imagefs.available: 1Gi, nodefs.inodesFree: 1%}
healthzBindAddress: 127.0.0.1
E
}

proxy_config() {
  cat <<E
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $kubeconfigs/proxy}
mode: iptables
clusterCIDR: $pod_cidr
hostnameOverride: $name
oomScoreAdj: 0
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 100ms}
E
}

# The cgroup under which all pods live, so that they are told from any other kubelet's.
make_cgroup() {
  local root
  if [[ -f /sys/fs/cgroup/cgroup.controllers ]]; then
    mkdir -p "/sys/fs/cgroup/$name"
    delegate /sys/fs/cgroup
    delegate "/sys/fs/cgroup/$name"
    return
  fi
  for root in /sys/fs/cgroup/*/; do
    [[ ! -w $root ]] || mkdir -p "$root$name"
  done
}

# delegate CGROUP: cgroup v2 hands a controller to children only if told so.
delegate() { sed 's/[a-z_]\+/+&/g' "$1/cgroup.controllers" >"$1/cgroup.subtree_control" || true; }
