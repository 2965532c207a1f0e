#!/bin/sh
# Exits 0 when pods of this node have a network, and pods of all nodes reach each other: the lab's place of flannel.
set -eu

# Node <subnet>.N has the pods 10.42.N.0/24: every node knows every route, also to nodes that come later.
address=$(ip -4 -o address show dev eth0 | awk '{sub("/.*", "", $4); print $4; exit}')
network=${address%.*}
own=${address##*.}

mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/10-edge-gpu-lab.conflist <<CONFLIST
{
  "cniVersion": "1.0.0",
  "name": "edge-gpu-lab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isDefaultGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/edge-gpu-lab/cni",
        "ranges": [[{"subnet": "10.42.$own.0/24"}]]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
CONFLIST

peer=10
while [ "$peer" -lt 255 ]; do
    [ "$peer" -eq "$own" ] || echo "route replace 10.42.$peer.0/24 via $network.$peer"
    peer=$((peer + 1))
done | ip -batch -

# Pods keep their addresses between nodes and take the node's to go out.
rule="-s 10.42.$own.0/24 ! -d 10.42.0.0/16 -o eth0 -j MASQUERADE"
# shellcheck disable=SC2086 # a list of words
iptables -t nat -C POSTROUTING $rule 2>/dev/null || iptables -t nat -A POSTROUTING $rule
