#!/bin/bash
# node.sh PROGRAMS STATE: a Kubernetes of one node, new and empty, until it gets SIGTERM.
# PROGRAMS is the folder of hyper and coredns; in STATE are keys, images and logs that are kept, and what is made anew.
#
# All of it runs in namespaces of its own, with this script as process 1: mounts, links, firewall rules, ports and every
# process of every pod are gone when it ends, however it ends. So nothing of the machine's own network is touched, such
# as what a Docker engine has set up; of that network's side there is one link, to reach the API server by.
set -euo pipefail
programs=$1 state=$2
node=test-node
host=10.219.0.1 ip=10.219.0.2 # the two ends of that link; the second is the node's address
pods=10.244.0 services=10.96.0
link=fc-kubernetes
cgroup=flow-clusters-kubernetes
cd "$state"

# The cgroups of earlier ones: empty, as their processes have ended.
cgroups() { find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null || true; }

if [ "${3:-}" != inside ]; then
  # Held by every process in there, so it is free when the last one has ended.
  exec 9>lock
  flock --nonblock 9 || exit 75
  cgroups
  exec unshare --mount --net --pid --fork --kill-child --mount-proc \
    bash "$0" "$programs" "$state" inside 8</proc/self/ns/net
fi

trap 'exit 0' TERM INT HUP
# run NAME COMMAND…: in the background; its output is log/NAME.
declare -A names
run() {
  local name=$1
  shift
  "$@" >"log/$name" 2>&1 </dev/null &
  names[$!]=$name
}
await() { # SECONDS PROBLEM COMMAND…
  local end=$((SECONDS + $1)) problem=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "$problem" >&2; exit 1; }
    sleep 0.1
  done
}

rm -rf --one-file-system etcd kubelet log ipam
mkdir -p log cni kubelet containerd ipam

# --- mounts: what has a fixed place is not the machine's --------------------------------------------------------
mount --make-rshared /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
for folder in kubelet cni; do
  mkdir -p "/var/lib/$folder"
  mount -t tmpfs tmpfs "/var/lib/$folder"
done

# --- network: the link to the machine, and the bridge of the pods -----------------------------------------------
there() { nsenter --net=/proc/self/fd/8 "$@"; }
ip link set lo up
# That of one that has just ended goes by itself.
await 10 "There is a link $link: another one runs, from another cache folder." \
  ip link add eth0 type veth peer name $link netns /proc/self/fd/8
there ip addr add $host/30 dev $link
there ip link set $link up
exec 8<&-
ip addr add $ip/30 dev eth0
ip link set eth0 up
ip route add default via $host
ip link add pods type bridge
ip addr add $pods.1/24 dev pods
ip link set pods up
sysctl -qw net.ipv4.ip_forward=1
cat >cni/10-pods.conflist <<CONF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true, "ipam": {
    "type": "host-local", "dataDir": "$state/ipam",
    "ranges": [[{"subnet": "$pods.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CONF

# --- control plane ----------------------------------------------------------------------------------------------
hyper=$programs/hyper
run etcd "$hyper" etcd --data-dir etcd --unsafe-no-fsync --log-level warn
run apiserver "$hyper" apiserver --etcd-servers http://127.0.0.1:2379 \
  --secure-port 6443 --bind-address 0.0.0.0 --advertise-address $ip --service-cluster-ip-range $services.0/16 \
  --client-ca-file keys/ca.crt --tls-cert-file keys/apiserver.crt --tls-private-key-file keys/apiserver.key \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file keys/sa.pub --service-account-signing-key-file keys/sa.key \
  --kubelet-preferred-address-types InternalIP \
  --kubelet-client-certificate keys/admin.crt --kubelet-client-key keys/admin.key

# --- containers -------------------------------------------------------------------------------------------------
# restrict_oom_score_adj: without CAP_SYS_RESOURCE, as in many containers, a score below our own is refused.
cat >containerd.toml <<CONF
version = 2
root = "$state/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$state/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/flow-clusters-test/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
CONF
ctr() { command ctr -a containerd.sock -n k8s.io "$@"; }
containerd() {
  run containerd command containerd --config containerd.toml
  await 20 "containerd does not answer: see $state/log/containerd" ctr version
}
rm -f containerd.sock
containerd
# Containers of earlier clusters: their processes are gone, and nobody knows them.
left=$(ctr containers ls -q)
if [ -n "$left" ]; then
  # shellcheck disable=SC2086
  ctr containers delete $left >/dev/null
  pid=$!
  unset "names[$pid]"
  kill "$pid" && wait "$pid" || true
  rm -rf containerd/io.containerd.grpc.v1.cri
  containerd
fi

export KUBECONFIG=$state/keys/admin.conf
await 60 "The API server is not ready: see $state/log/apiserver" "$hyper" kubectl get --raw /readyz
run controllers "$hyper" controllers --kubeconfig keys/controllers.conf --leader-elect=false \
  --root-ca-file keys/ca.crt --service-account-private-key-file keys/sa.key --use-service-account-credentials \
  --cluster-signing-cert-file keys/ca.crt --cluster-signing-key-file keys/ca.key
run scheduler "$hyper" scheduler --kubeconfig keys/scheduler.conf --leader-elect=false

# --- node -------------------------------------------------------------------------------------------------------
trees=(/sys/fs/cgroup)
# The old cgroups have a tree for each controller.
[ -e /sys/fs/cgroup/cgroup.controllers ] || trees=(/sys/fs/cgroup/*)
for tree in "${trees[@]}"; do
  [ ! -e "$tree/cgroup.procs" ] || mkdir -p "$tree/$cgroup"
done
: >resolv.conf # pods get the cluster's DNS only
# failCgroupV1: for machines with the old cgroups. imageGC…: images are never deleted.
cat >kubelet.yaml <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/keys/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$state/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [$ip]
clusterDomain: cluster.local
resolvConf: $state/resolv.conf
podLogsDir: $state/kubelet/log
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
CONF
run kubelet "$hyper" kubelet --config kubelet.yaml --kubeconfig keys/kubelet.conf --root-dir "$state/kubelet" \
  --cert-dir "$state/kubelet/pki" --hostname-override $node --node-ip $ip
cat >proxy.yaml <<CONF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $state/keys/proxy.conf}
hostnameOverride: $node
mode: iptables
clusterCIDR: $pods.0/24
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
CONF
run proxy "$hyper" proxy --config proxy.yaml
cat >Corefile <<CONF
cluster.local:53 {
  bind $ip
  errors
  kubernetes cluster.local {
    kubeconfig $state/keys/admin.conf
    pods insecure
  }
}
CONF
run dns "$programs/coredns" -conf Corefile

# A part that ends takes the rest along: a cluster with a part missing would fail tests in ways of its own.
while true; do
  code=0
  wait -n -p ended || code=$?
  [ -z "${ended:-}" ] || [ -z "${names[$ended]:-}" ] || break
done
echo "${names[$ended]} ended with $code:" >&2
tail -n 5 "log/${names[$ended]}" >&2
exit 1
