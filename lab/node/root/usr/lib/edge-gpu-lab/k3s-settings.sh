#!/bin/sh
# Exits 0 when K3s, about to start here in the role $1 (server or agent), will find the lab's settings and a runc that works.
set -eu

role=$1
settings=/usr/lib/edge-gpu-lab/k3s
wanted=/etc/rancher/k3s/config.yaml.d

# An agent refuses a server's keys, so each start places what its role takes.
mkdir -p "$wanted"
rm -f "$wanted"/90-edge-gpu-lab-*.yaml
cp "$settings/node.yaml" "$wanted/90-edge-gpu-lab-node.yaml"
[ "$role" = agent ] || cp "$settings/server.yaml" "$wanted/90-edge-gpu-lab-server.yaml"
[ -e /sys/fs/cgroup/cgroup.controllers ] || cp "$settings/cgroup-v1.yaml" "$wanted/90-edge-gpu-lab-cgroup-v1.yaml"

# Bit 24 is CAP_SYS_RESOURCE: without it runc cannot lower oom_score_adj and every pod fails. K3s looks programs up in
# data/cni first, the folder it leaves to its users.
runc=/var/lib/rancher/k3s/data/cni/runc
capabilities=$(awk '/^CapBnd:/ {print $2}' /proc/self/status)
if [ $((0x$capabilities >> 24 & 1)) -eq 0 ]; then
    mkdir -p "${runc%/*}"
    ln -sf /usr/lib/edge-gpu-lab/runc.sh "$runc"
else
    rm -f "$runc"
fi
