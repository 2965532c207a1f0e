# Exits 0 when no reboot is needed, or when one is under way: drained, recorded, and no new login taken until then.
: "${NODE:?}" "${GPUS:?}" "${DRAIN_TIMEOUT_SECONDS:?}"
# include: shared_driver_state.sh
# include: shared_boot.sh

look_at_driver
judge_driver
if [ "$STATE" != reboot ]; then
    say "no reboot is needed: the driver is $STATE, $WHY"
    exit 0
fi

# evict_pods: one try for each pod that is still here; succeeds when none is. DaemonSets' and static pods stay, as with
# `kubectl drain`, which this node's own rights do not suffice for.
evict_pods() {
    pods=$(own_kubectl get pods --all-namespaces --field-selector "spec.nodeName=$NODE" \
        -o 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.metadata.ownerReferences[0].kind} {.status.phase}{"\n"}{end}') || return 1
    left=$(printf '%s\n' "$pods" | awk 'NF > 0 && $3 != "DaemonSet" && $3 != "Node" && $NF != "Succeeded" && $NF != "Failed" {print $1, $2}')
    [ -n "$left" ] || return 0
    printf '%s\n' "$left" | while read -r namespace pod; do
        printf '{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%s", "namespace": "%s"}}' "$pod" "$namespace" |
            own_kubectl create --raw "/api/v1/namespaces/$namespace/pods/$pod/eviction" -f - || true
    done >/dev/null
    echo "still here: $(printf '%s' "$left" | tr '\n' ',')"
    return 1
}

# keep_record: what the step after the reboot has to know, written before anything happens.
keep_record() {
    put 0600 "$REBOOT_RECORD" <<RECORD
mark=$(boot_mark)
cordoned=$cordoned
gpus=${gpus:-0}
why=$WHY
RECORD
}

cordoned=0
gpus=0
unit=$(k3s_unit)
if [ -n "$unit" ] && systemctl is-active --quiet "$unit"; then
    if [ "$(recorded cordoned)" = 1 ]; then
        cordoned=1
    elif [ "$(own_kubectl get node "$NODE" -o 'jsonpath={.spec.unschedulable}')" != true ]; then
        own_kubectl cordon "$NODE" >/dev/null || fail "the node cannot be drained" "cordoning it failed, see above" \
            "does the cluster's API answer? kubectl get nodes; then deploy again"
        cordoned=1
    fi
    gpus=$(own_kubectl get node "$NODE" -o "jsonpath=$ALLOCATABLE_GPUS")
    keep_record
    say "drains the node, $DRAIN_TIMEOUT_SECONDS s at most"
    wait_until "$DRAIN_TIMEOUT_SECONDS" evict_pods ||
        fail "the node is not drained after $DRAIN_TIMEOUT_SECONDS s, and stays cordoned" "$LAST_PROBE" \
            "a PodDisruptionBudget may forbid it: kubectl get pdb -A; or kubectl uncordon $NODE and reboot.allowed: false"
fi
keep_record
sync

# Terraform's next connection must not end in the dying system: sshd takes no new ones from here on. Should the reboot not
# come, the unit starts it again.
listeners=
for listener in ssh.socket ssh.service sshd.socket sshd.service; do
    if systemctl is-active --quiet "$listener"; then listeners="$listeners $listener"; fi
done
systemd-run --quiet --collect --unit=edge-gpu-reboot sh -c \
    "sleep 2; systemctl reboot; sleep 300; systemctl cancel; systemctl start $listeners" ||
    fail "the reboot cannot be started" "systemd-run failed, see above" "reboot $NODE by hand, then deploy again"
for listener in $listeners; do
    # This session goes on when only the listener ends.
    case $(systemctl show "$listener" -p KillMode --value) in process | "") systemctl stop "$listener" ;; esac
done
say "reboots: $WHY"
