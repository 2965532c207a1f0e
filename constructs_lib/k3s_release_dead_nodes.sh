# Exits 0 when the cluster has no Node objects and no pods of the machines in DEAD. Runs on a server.
: "${DEAD:?}"

kubectl() { /usr/local/bin/k3s kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml --request-timeout=20s "$@"; }

for dead in $DEAD; do
    # The Node object first: else a DaemonSet would give it new pods.
    kubectl delete node "$dead" --ignore-not-found --wait=false >/dev/null
    kubectl delete pods --all-namespaces --field-selector "spec.nodeName=$dead" --force --grace-period=0 >/dev/null 2>&1
    say "dropped the Node object and the pods of $dead"
done
