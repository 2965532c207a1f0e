#!/bin/sh
# Exits 0 when the check's pod succeeded on a node that the bundle's steps brought up; runs inside the throw-away root.
set -eu
umask 022
OUT=/run/prove-gpu
# shellcheck source=/dev/null
. "$OUT/parameters"
BUNDLE=/var/lib/edge-gpu/bundle
# shellcheck source=/dev/null
. "$BUNDLE/prove/settings"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C HOME=/root

die() {
    printf 'ERROR prove-gpu: %s\n  cause: %s\n  fix: %s\n' "$1" "$2" "$3" >&2
    exit 1
}
fact() { echo "$*" >>"$OUT/facts"; }
now() { awk '{printf "%d\n", $1 * 100}' /proc/uptime; }
start=$(now)
phase() {
    echo "$1 $(($(now) - start))" >>"$OUT/phases"
    start=$(now)
}
: >"$OUT/facts"

# step NAME LIMIT_SECONDS: one of the project's node steps, as Terraform would run it over SSH.
STEPS=/root/.edge-gpu
mkdir -p "$STEPS"
chmod 0700 "$STEPS"
step() {
    sed "s/@GPUS@/$GPUS/" "$BUNDLE/prove/steps/$1.sh" >"$STEPS/$1-prove-gpu.sh"
    timeout --kill-after=10 "$2" sh "$STEPS/$1-prove-gpu.sh" || die "step $1 failed" "see its lines above" "correct what they name"
}

# --- what the machine has in unusual places
install -m 0755 "$BUNDLE/prove/systemctl.sh" /usr/local/sbin/systemctl
install -m 0755 "$BUNDLE/prove/systemctl.sh" /usr/local/sbin/journalctl
mkdir -p /etc/systemd/system
grep -Eqx '[0-9a-f]{32}' /etc/machine-id 2>/dev/null || openssl rand -hex 16 >/etc/machine-id
fact "K3s runs under the proof's own supervisor, not under systemd"
command -v nvidia-smi >/dev/null || {
    ln -s "$SMI" /usr/local/bin/nvidia-smi
    fact "nvidia-smi is $SMI"
}
# The folder of the driver's library: where the loader looks by itself, by its cache, else where drivers are put besides.
library_folder() {
    for folder in /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu /usr/lib64; do
        [ ! -e "$folder/libnvidia-ml.so.1" ] || { echo "$folder" && return; }
    done
    cached=$(ldconfig -p | awk '$1 == "libnvidia-ml.so.1" {print $NF; exit}')
    [ -z "$cached" ] || { dirname "$cached" && return; }
    for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib /opt/nvidia/lib64 /usr/lib/wsl/lib; do
        [ ! -e "$folder/libnvidia-ml.so.1" ] || { echo "$folder" && return; }
    done
}
driver=$(library_folder)
[ -n "$driver" ] || die "the driver's library is nowhere to be found" \
    "no libnvidia-ml.so.1 in the loader's cache and the usual folders" "add its folder to /etc/ld.so.conf.d and run ldconfig"
echo "$driver" >/etc/ld.so.conf.d/000-prove-gpu.conf
ldconfig

step preflight 60
phase preflight
step driver 120
phase driver
step toolkit 300
# Where the toolkit does not look by itself.
case $driver in
/usr/lib64 | /usr/lib/*-linux-gnu) ;;
*)
    mkdir -p /etc/cdi
    nvidia-ctk --quiet cdi generate --library-search-path "$driver" --output=/etc/cdi/nvidia.yaml ||
        die "nvidia-ctk cannot describe this driver" "its libraries are in $driver" "see its lines above"
    mkdir -p /etc/nvidia-container-runtime
    printf '[nvidia-container-runtime]\nmode = "cdi"\n' >/etc/nvidia-container-runtime/config.toml
    fact "driver libraries are in $driver: described to the runtime by CDI"
    ;;
esac
phase 'container toolkit'

# --- the node's surroundings: K3s for one node, without anything that another machine or this one's network must have
kernel_version=v2
[ -e /sys/fs/cgroup/cgroup.controllers ] || kernel_version=v1
fact "cgroup $kernel_version"
command -v iptables >/dev/null || fact "no iptables: not needed, kube-proxy is off"
binary=$BUNDLE/k3s/$K3S_VERSION/k3s
[ -e "$binary" ] || binary=$BUNDLE/k3s/$K3S_VERSION/k3s-$ARCHITECTURE
install -m 0755 "$binary" /usr/local/bin/k3s
# Any command of it unpacks K3s's programs, among them the network plugins.
k3s crictl --version >/dev/null || die "K3s does not start" "$(k3s crictl --version 2>&1 | head -n 3)" "is the bundle for this machine?"
plugins=/var/lib/rancher/k3s/data/current/bin
[ -e "$plugins/bridge" ] || plugins=/var/lib/rancher/k3s/data/cni
[ -e "$plugins/bridge" ] || die "K3s $K3S_VERSION brings no bridge plugin" "none in $plugins" "name another K3s version"
rm -rf /opt/cni/bin /etc/cni/net.d
mkdir -p /opt/cni /etc/cni/net.d
ln -s "$plugins" /opt/cni/bin
bridge='"type": "bridge", "bridge": "cni0", "isDefaultGateway": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni-addresses", "ranges": [[{"subnet": "10.42.0.0/24"}]]}'
printf '{"cniVersion": "1.0.0", "name": "prove-gpu", "plugins": [{%s}]}\n' "$bridge" >/etc/cni/net.d/10-prove-gpu.conflist
# The network namespace is empty, and `ip` may not be there: the plugins set up loopback and the bridge themselves.
cni() { # cni PLUGIN NETWORK_NAMESPACE INTERFACE <CONFIGURATION
    answer=$(CNI_COMMAND=ADD CNI_CONTAINERID=prove-gpu CNI_NETNS=$2 CNI_IFNAME=$3 CNI_PATH=$plugins "$plugins/$1" 2>&1) ||
        die "the network plugin $1 failed" "$answer" "does this kernel have bridges and veth? modprobe bridge veth"
}
echo '{"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}' | cni loopback /proc/self/ns/net lo
unshare --net sleep 600 &
holder=$!
tries=0
while [ "$(readlink "/proc/$holder/ns/net")" = "$(readlink /proc/self/ns/net)" ] && [ "$tries" -lt 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
printf '{"cniVersion": "1.0.0", "name": "prove-gpu", %s}' "$bridge" | cni bridge "/proc/$holder/ns/net" eth0
kill "$holder"
fact "the node's address is its own bridge, 10.42.0.1: no default route is needed"

mkdir -p /etc/rancher/k3s/config.yaml.d
{
    echo 'node-ip: 10.42.0.1'
    echo 'flannel-backend: none'
    echo 'disable-network-policy: true'
    echo 'disable-kube-proxy: true'
    echo 'disable-cloud-controller: true'
    echo 'disable-helm-controller: true'
    echo 'disable: [coredns, local-storage, metrics-server, servicelb, traefik]'
    [ -z "$PAUSE_IMAGE" ] || echo "pause-image: $PAUSE_IMAGE"
    [ "$kernel_version" = v2 ] || echo 'kubelet-arg: [fail-cgroupv1=false]'
} >/etc/rancher/k3s/config.yaml.d/50-prove-gpu.yaml
# Bit 24 is CAP_SYS_RESOURCE: without it no process may lower its oom_score_adj, and runc would give up on every pod.
capabilities=$(awk '/^CapBnd:/ {print $2}' /proc/self/status)
if [ $((0x$capabilities >> 24 & 1)) -eq 0 ]; then
    mkdir -p /var/lib/rancher/k3s/data/cni
    install -D -m 0755 "$BUNDLE/prove/runc.sh" /usr/local/lib/prove-gpu/runc.sh
    ln -sf /usr/local/lib/prove-gpu/runc.sh /var/lib/rancher/k3s/data/cni/runc
    fact "no CAP_SYS_RESOURCE: pods keep the oom_score_adj that they may have"
fi

# An identity for this node alone, in the place where Terraform puts the fleet's.
secrets=$STEPS/k3s-prove-gpu.secrets
mkdir -p "$secrets/tls/etcd"
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=prove-gpu-$2" \
        -addext keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign \
        -keyout "$secrets/tls/$1.pkcs8" -out "$secrets/tls/$1.crt" 2>/dev/null
    openssl ec -in "$secrets/tls/$1.pkcs8" -out "$secrets/tls/$1.key" 2>/dev/null
    rm "$secrets/tls/$1.pkcs8"
}
for name in server-ca client-ca request-header-ca etcd/peer-ca etcd/server-ca; do authority "$name" "$(basename "$name")"; done
openssl genrsa -traditional -out "$secrets/tls/service.key" 2048 2>/dev/null ||
    openssl genrsa -out "$secrets/tls/service.key" 2048 2>/dev/null
openssl rand -hex 24 >"$secrets/agent-token"
printf 'K10%s::server:%s\n' "$(sha256sum "$secrets/tls/server-ca.crt" | cut -d' ' -f1)" "$(openssl rand -hex 24)" >"$secrets/token"
phase 'network and identity'

step k3s 420
phase 'K3s, node Ready'

# --- plugin and check
kubectl() { k3s kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml --request-timeout=20s "$@"; }
apply() {
    sed "s/@GPUS@/$GPUS/" "$BUNDLE/prove/manifests/$1" >"/run/$1"
    tries=0
    until problem=$(kubectl apply -f "/run/$1" 2>&1); do
        tries=$((tries + 1))
        [ "$tries" -lt 20 ] || die "Kubernetes does not take $1" "$problem" "read k3s's log: $OUT/k3s.log"
        sleep 0.5
    done
}
apply 1-plugin.yaml
step gate 240
phase 'device plugin, GPUs offered'
apply 2-check.json
deadline=$(($(date +%s) + CHECK_TIMEOUT_SECONDS + 20))
while :; do
    state=$(kubectl get job -n "$CHECK_NAMESPACE" gpu-check -o 'jsonpath={.status.conditions[?(@.status=="True")].type}' || true)
    case $state in
    *Complete*) break ;;
    *Failed*) ;;
    *)
        [ "$(date +%s)" -ge "$deadline" ] || {
            sleep 0.2
            continue
        }
        ;;
    esac
    kubectl get pods -n "$CHECK_NAMESPACE" -o wide >&2 || true
    kubectl get events -n "$CHECK_NAMESPACE" >&2 || true
    kubectl logs -n "$CHECK_NAMESPACE" job/gpu-check >&2 || true
    die "the check's pod did not succeed: ${state:-not done in time}" "see its lines above" "correct what they name"
done
kubectl logs -n "$CHECK_NAMESPACE" job/gpu-check >"$OUT/check"
phase 'check: CUDA kernel in a pod'
