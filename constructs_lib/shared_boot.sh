# A boot's mark, kept from before a reboot until it is verified.

# Not under /run, which does not outlive the boot.
REBOOT_RECORD=/var/lib/edge-gpu/reboot

# boot_mark: differs between any two boots. A container's boot_id is its host's; its first process starts anew.
boot_mark() { echo "$(cat /proc/sys/kernel/random/boot_id) $(sed 's/^.*) //' /proc/1/stat | cut -d' ' -f20)"; }

# recorded KEY: a value of the record.
recorded() { sed -n "s/^$1=//p" "$REBOOT_RECORD" 2>/dev/null; }

# The dots in a resource's name are escaped in a JSONPath.
ALLOCATABLE_GPUS='{.status.allocatable.nvidia\.com/gpu}'

k3s_unit() { for unit in k3s k3s-agent; do if [ -e "/etc/systemd/system/$unit.service" ]; then echo "$unit"; fi; done; }

# kubectl as this node: it may read and change itself and evict its own pods, and no more.
own_kubectl() {
    /usr/local/bin/k3s kubectl --kubeconfig /var/lib/rancher/k3s/agent/kubelet.kubeconfig --request-timeout=10s "$@"
}
