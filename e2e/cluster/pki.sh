# shellcheck shell=bash
# The cluster's certificate authority, certificates and kubeconfigs: made once, complete or not at all.

make_pki() {
  [[ ! -f $pki/complete ]] || return 0
  say "making certificates"
  rm -rf "$pki" "$kubeconfigs"
  mkdir -p "$pki" "$kubeconfigs"
  chmod 700 "$pki" "$kubeconfigs"
  key ca
  openssl req -x509 -new -key "$pki/ca.key" -days 3650 -subj "/CN=$name" -out "$pki/ca.crt"
  openssl genrsa -out "$pki/service-account.key" 2048 2>/dev/null
  openssl rsa -in "$pki/service-account.key" -pubout -out "$pki/service-account.pub" 2>/dev/null
  certificate apiserver /CN=kube-apiserver serverAuth "$(api_names)"
  certificate kubelet-server "/O=system:nodes/CN=system:node:$name" serverAuth "IP:$node_address,DNS:$name"
  certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver clientAuth
  client admin /O=system:masters/CN=playground-admin
  client controller-manager /CN=system:kube-controller-manager
  client scheduler /CN=system:kube-scheduler
  client kubelet "/O=system:nodes/CN=system:node:$name"
  client proxy /CN=system:kube-proxy
  touch "$pki/complete"
}

api_names() {
  local names="IP:127.0.0.1,IP:$node_address,IP:$api_service_address,DNS:localhost" suffix=
  local part
  for part in kubernetes default svc cluster local; do
    suffix+=${suffix:+.}$part
    [[ $part == cluster ]] || names+=,DNS:$suffix
  done
  echo "$names"
}

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$pki/$1.key"; }

# certificate NAME SUBJECT USAGE [SUBJECT_ALT_NAMES]
certificate() {
  key "$1"
  openssl req -new -key "$pki/$1.key" -subj "$2" |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 -out "$pki/$1.crt" \
      -extfile <(echo "extendedKeyUsage=$3${4:+$'\n'subjectAltName=$4}") 2>/dev/null
}

# client NAME SUBJECT: a certificate and the kubeconfig that carries it.
client() {
  certificate "$1" "$2" clientAuth
  local config=("$bin/kubectl" config --kubeconfig "$kubeconfigs/$1")
  {
    "${config[@]}" set-cluster "$name" --server "https://$node_address:6443" \
      --certificate-authority "$pki/ca.crt" --embed-certs
    "${config[@]}" set-credentials "$1" --client-certificate "$pki/$1.crt" --client-key "$pki/$1.key" --embed-certs
    "${config[@]}" set-context "$name" --cluster "$name" --user "$1"
    "${config[@]}" use-context "$name"
  } >/dev/null
}
