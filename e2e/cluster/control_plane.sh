# shellcheck shell=bash
# Starting the cluster's processes, each with its flags, in the order in which they need each other.

start_control_plane() {
  start etcd etcd --name "$name" --data-dir "$state/etcd" --unsafe-no-fsync --logger zap --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster "$name=http://127.0.0.1:2380" --quota-backend-bytes 4294967296 \
    --auto-compaction-mode periodic --auto-compaction-retention 30m
  start apiserver "$bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
    --bind-address 0.0.0.0 --secure-port 6443 --advertise-address "$node_address" \
    --kubelet-preferred-address-types InternalIP --service-cluster-ip-range "$service_cidr" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-certificate-authority "$pki/ca.crt" \
    --kubelet-client-certificate "$pki/apiserver-kubelet.crt" --kubelet-client-key "$pki/apiserver-kubelet.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/service-account.pub" --service-account-signing-key-file "$pki/service-account.key"
  wait_for 60 "the API server" apiserver kubectl get --raw /readyz
  start controller-manager "$bin/kube-controller-manager" --leader-elect=false --bind-address 127.0.0.1 \
    --kubeconfig "$kubeconfigs/controller-manager" --use-service-account-credentials \
    --flex-volume-plugin-dir "$state/volume-plugins" \
    --root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/service-account.key" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key"
  start scheduler "$bin/kube-scheduler" --leader-elect=false --bind-address 127.0.0.1 \
    --kubeconfig "$kubeconfigs/scheduler"
}

start_node() {
  start containerd containerd --config "$etc/containerd.toml"
  wait_for 30 containerd containerd ctr version
  import_system_image
  start kubelet "$bin/kubelet" --config "$etc/kubelet.yaml" --kubeconfig "$kubeconfigs/kubelet" \
    --root-dir "$state/kubelet" --cert-dir "$state/kubelet/pki" \
    --hostname-override "$name" --node-ip "$node_address"
  start proxy "$bin/kube-proxy" --config "$etc/proxy.yaml"
}

import_system_image() {
  [[ -z $(ctr images list --quiet "name==$system_image") ]] || return 0
  ctr images import "$bin/system.tar" >/dev/null
}

start_system_pods() {
  sed -e "s#@DNS_ADDRESS@#$dns_address#; s#@IMAGE@#$system_image#; s#@VOLUMES@#$state/volumes#" \
    "$here"/manifests/*.yaml | kubectl apply --server-side --force-conflicts -f - >/dev/null
  wait_for 60 "the node" kubelet node_is_ready
  wait_for 60 "cluster DNS" kubelet dns_answers
  wait_for 60 "the storage provisioner" kubelet deployment_is_ready local-path-provisioner
}

node_is_ready() {
  [[ $(kubectl get node "$name" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# Asked, not read from the pod's status, which is stale for a while after a restart.
dns_answers() {
  timeout 1 busybox nslookup -type=a kubernetes.default.svc.cluster.local "$dns_address" | grep -q "$api_service_address"
}

deployment_is_ready() {
  [[ $(kubectl -n kube-system get deployment "$1" -o 'jsonpath={.status.readyReplicas}') == 1 ]]
}
