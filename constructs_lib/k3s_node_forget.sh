# Exits 0 when the cluster has neither a Node object of this name nor a node password: the name can join again. Runs on
# a server.
: "${NODE:?}"

kubectl() { /usr/local/bin/k3s kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml --request-timeout=20s "$@"; }

gone() {
    kubectl delete node "$NODE" --ignore-not-found --timeout=15s &&
        kubectl delete secret -n kube-system "$NODE.node-password.k3s" --ignore-not-found --timeout=15s
}
wait_until 60 gone || fail "the cluster still has the node" "$LAST_PROBE" "k3s kubectl delete node $NODE, on a server"
say "Node object and node password are deleted"
