#!/bin/bash
# keys.sh NODE URL NAMES…: makes, in the current folder, the keys and kubeconfig files of a cluster whose API server is
# at the URL and has these names. They are kept: a kubeconfig stays good when the cluster is started anew.
set -euo pipefail
node=$1 url=$2 names=$3

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
cert() { # FILE CN O [SAN]
  key "$1"
  openssl req -new -key "$1.key" -subj "/O=$3/CN=$2" |
    openssl x509 -req -days 3650 -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" \
      -extfile <(echo "extendedKeyUsage=clientAuth,serverAuth"; [ -z "${4:-}" ] || echo "subjectAltName=$4")
}
kubeconfig() { # FILE SERVER: for the certificate of the same name
  cat >"$1.conf" <<CONF
apiVersion: v1
kind: Config
current-context: $node
clusters: [{name: $node, cluster: {server: "$2", certificate-authority-data: $(base64 -w0 ca.crt)}}]
contexts: [{name: $node, context: {cluster: $node, user: $1, namespace: default}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
CONF
}

umask 077
key ca
openssl req -x509 -new -key ca.key -days 3650 -subj /CN=flow-clusters-test -out ca.crt
key sa
openssl ec -in sa.key -pubout -out sa.pub
cert apiserver kube-apiserver test "$names"
cert admin admin system:masters
cert controllers system:kube-controller-manager test
cert scheduler system:kube-scheduler test
cert proxy system:kube-proxy test
cert kubelet "system:node:$node" system:nodes
for user in admin controllers scheduler proxy kubelet; do kubeconfig $user "$url"; done
