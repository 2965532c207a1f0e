# Exits 0 when no K3s of ours, none of its containers, mounts, links, rules and data are left on this machine.
: "${NODE:?}"

DATA=/var/lib/rancher/k3s

for unit in k3s k3s-agent; do
    file=/etc/systemd/system/$unit.service
    [ -e "$file" ] || continue
    grep -q '^# Managed by edge-gpu' "$file" || {
        say "left alone: $file is not ours"
        exit 0
    }
    timeout 60 systemctl disable --quiet --now "$unit" || systemctl kill --signal=KILL "$unit"
    rm -f "$file"
done
systemctl daemon-reload

# Containers outlive the service (KillMode=process): end each shim with everything below it.
tree_of() {
    echo "$1"
    for child in $(ps -o pid= --ppid "$1"); do tree_of "$child"; done
}
shims() { pgrep -f "^$DATA/data/[^/]*/bin/containerd-shim|containerd-shim-runc-v2 .*-address /run/k3s/containerd" || true; }
for shim in $(shims); do
    # shellcheck disable=SC2046 # a list of process ids
    kill -KILL $(tree_of "$shim") 2>/dev/null || true
done
no_shims() {
    left=$(shims)
    echo "$left"
    [ -z "$left" ]
}
wait_until 20 no_shims ||
    fail "containers are still running" "pids $LAST_PROBE did not end after KILL" "reboot the machine and destroy again"

# Deepest first. A mount point that is itself a disk of the machine stays.
awk '{print $2}' /proc/self/mounts | grep -E "^($DATA/|/run/k3s/|/run/netns/cni-|/var/lib/kubelet/(pods|plugins))" |
    sort -r | while IFS= read -r mount; do umount -l "$mount"; done
for link in $(ip -o link show 2>/dev/null | awk -F': ' '{print $2}' | cut -d@ -f1 | grep -E '^(cni0|flannel[.0-9]*|flannel-v6.*|kube-ipvs0|veth.*)$'); do
    ip link delete "$link" 2>/dev/null || true
done
for tables in iptables ip6tables; do
    command -v "$tables-save" >/dev/null || continue
    "$tables-save" | grep -v -E 'KUBE-|CNI-|cni0|flannel' | "$tables-restore" || say "could not clean $tables rules"
done

rm -rf /run/k3s /run/flannel /var/lib/cni /etc/rancher/node
find "$DATA" /var/lib/kubelet -mindepth 1 -delete 2>/dev/null || true
rm -f /etc/rancher/k3s/config.yaml /etc/rancher/k3s/token /etc/rancher/k3s/agent-token /etc/rancher/k3s/k3s.yaml
rm -rf /etc/rancher/k3s/edge-gpu-before /usr/local/bin/k3s.edge-gpu-before
if grep -qs '^# Managed by edge-gpu' /etc/rancher/k3s/registries.yaml; then rm /etc/rancher/k3s/registries.yaml; fi
for name in kubectl crictl ctr; do
    [ "$(readlink "/usr/local/bin/$name")" != k3s ] || rm -f "/usr/local/bin/$name"
done
rm -f /usr/local/bin/k3s
[ -z "$(find "$DATA" -type f 2>/dev/null | head -n 1)" ] ||
    fail "data of K3s is left" "$(find "$DATA" -type f | head -n 3)" "remove $DATA by hand"
say "K3s is removed"
