# Exits 0 when the node offers exactly the expected GPUs to the scheduler, and nothing of an earlier check holds them.
# Runs on a server.
: "${NODE:?}" "${GPUS:?}" "${WAIT_SECONDS:?}" "${PLUGIN_NAMESPACE:?}" "${PLUGIN_SELECTOR:?}"
: "${CHECK_NAMESPACE:?}" "${CHECK_JOB:?}"

kubectl() { /usr/local/bin/k3s kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml --request-timeout=10s "$@"; }

allocatable() {
    seen=$(kubectl get node "$NODE" -o 'jsonpath={.status.allocatable.nvidia\.com/gpu}')
    echo "${seen:-0}"
    [ "${seen:-0}" = "$GPUS" ]
}

# A deploy that was killed leaves its check behind, which Terraform knows nothing of. Where it knows a check, that one
# is gone by now: it is made anew after each gate.
earlier_check() {
    kubectl get job -n "$CHECK_NAMESPACE" "$CHECK_JOB" --ignore-not-found -o name
    kubectl get pod -n "$CHECK_NAMESPACE" -l "job-name=$CHECK_JOB" -o name
}
no_earlier_check() { [ -z "$(earlier_check)" ]; }
if ! no_earlier_check; then
    say "removing what an earlier deploy left: $(earlier_check | tr '\n' ' ')"
    kubectl delete job -n "$CHECK_NAMESPACE" "$CHECK_JOB" --ignore-not-found --cascade=foreground --wait=false >/dev/null
    wait_until 120 no_earlier_check ||
        fail "an earlier check does not end: $(earlier_check | tr '\n' ' ')" "its pod holds the GPUs of $NODE" \
            "k3s kubectl describe job -n $CHECK_NAMESPACE $CHECK_JOB"
fi

started=$(date +%s)
if wait_until "$WAIT_SECONDS" allocatable; then
    say "offers $GPUS nvidia.com/gpu after $(($(date +%s) - started)) s"
    exit 0
fi

seen=$LAST_PROBE
pod=$(kubectl get pods -n "$PLUGIN_NAMESPACE" -l "$PLUGIN_SELECTOR" --field-selector "spec.nodeName=$NODE" -o name | head -n 1)
if [ -z "$pod" ]; then
    cause="no device plugin pod runs on $NODE"
    if [ "$(kubectl get node "$NODE" -o 'jsonpath={.metadata.labels.nvidia\.com/gpu\.present}')" != true ]; then
        cause="$cause: the node has no label nvidia.com/gpu.present=true"
        fix="k3s kubectl label node $NODE nvidia.com/gpu.present=true, then deploy again"
    else
        fix="k3s kubectl describe daemonset -n $PLUGIN_NAMESPACE"
    fi
else
    state='{.status.phase}, {.status.containerStatuses[*].state.*.reason}'
    state="$state, {.status.containerStatuses[*].restartCount} restarts"
    state="$state, exit code {.status.containerStatuses[*].lastState.terminated.exitCode}"
    cause="device plugin $pod: $(kubectl get -n "$PLUGIN_NAMESPACE" "$pod" -o "jsonpath=$state")"
    fix="read the plugin's last lines above; does nvidia-smi list $GPUS GPUs on $NODE?"
    {
        echo "last lines of $pod on $NODE:"
        kubectl logs -n "$PLUGIN_NAMESPACE" "$pod" --all-containers --tail=20 ||
            kubectl logs -n "$PLUGIN_NAMESPACE" "$pod" --all-containers --tail=20 --previous || true
    } 2>&1 | masked >&2
fi
fail "expected $GPUS nvidia.com/gpu allocatable, seen $seen, after $WAIT_SECONDS s" "$cause" "$fix"
