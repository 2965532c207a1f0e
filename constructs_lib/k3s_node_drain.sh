# Exits 0 when the node is cordoned and its pods were evicted or DRAIN_SECONDS are over; 3 when it holds data that may
# not be lost, then nothing was changed. Runs on a server.
: "${NODE:?}" "${MAY_LOSE_DATA:?}" "${DRAIN_SECONDS:?}"

kubectl() { /usr/local/bin/k3s kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml --request-timeout=20s "$@"; }

if [ -z "$(kubectl get node "$NODE" --ignore-not-found -o name)" ]; then
    say "is no node of the cluster"
    exit 0
fi

volumes() {
    fields='{.metadata.name} {.spec.claimRef.namespace}/{.spec.claimRef.name}'
    fields="$fields {.spec.nodeAffinity.required.nodeSelectorTerms[*].matchExpressions[*].values[*]}"
    kubectl get persistentvolumes -o "jsonpath={range .items[*]}$fields{\"\\n\"}{end}" |
        awk -v node="$NODE" '{for (i = 3; i <= NF; i++) if ($i == node) {print $1 " (claim " $2 ")"; break}}'
}
held=$(volumes | tr '\n' ' ')
if [ -n "$held" ] && [ "$MAY_LOSE_DATA" -ne 1 ]; then
    echo "persistent volumes that live on this machine: $held"
    exit 3
fi
kubectl cordon "$NODE" >/dev/null
[ "$DRAIN_SECONDS" -gt 0 ] || exit 0
started=$(date +%s)
/usr/local/bin/k3s kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml drain "$NODE" --ignore-daemonsets \
    --delete-emptydir-data --force --timeout="${DRAIN_SECONDS}s" >/dev/null || {
    say "not drained after $DRAIN_SECONDS s: what is left there ends with the node"
    exit 0
}
say "drained in $(($(date +%s) - started)) s"
