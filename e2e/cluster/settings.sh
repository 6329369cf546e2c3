# shellcheck shell=bash disable=SC2034
# Where the playground's cluster keeps its things and which addresses it uses. All of it is its own: the
# cluster lives in a network namespace, so its iptables rules, addresses and ports never meet the machine's.
. "$here/say.sh"
export PATH=$PATH:/usr/sbin:/sbin

repo=$(cd "$here/../.." && pwd)
out=$repo/target/cluster
bin=$out/bin
cache=${HAIZEN_CACHE:-$HOME/.cache/haizen}

name=haizen-playground
state=${HAIZEN_STATE:-/var/lib/$name}
run=/run/$name
logs=$state/logs
pids=$run/pids
pki=$state/pki
kubeconfigs=$state/kubeconfigs
etc=$state/etc

containerd_socket=$run/containerd/containerd.sock
system_image=localhost/haizen/system:playground

# One /16: the link to the host, the pods, the services.
subnet=${HAIZEN_SUBNET:-10.200}
host_address=$subnet.0.1
node_address=$subnet.0.2
pod_cidr=$subnet.1.0/24
service_cidr=$subnet.16.0/20
api_service_address=$subnet.16.1
dns_address=$subnet.16.10
host_link=hz-host
node_link=hz-node

# Runs a command in the cluster's network namespace only; `ip netns exec` would hide the cgroup mounts.
in_netns() { nsenter --net="/run/netns/$name" -- "$@"; }

kubectl() { "$bin/kubectl" --kubeconfig "$kubeconfigs/admin" "$@"; }
ctr() { command ctr --address "$containerd_socket" --namespace k8s.io "$@"; }
