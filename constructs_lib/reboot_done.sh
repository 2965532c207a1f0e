# Exits 0 when the machine has booted since its reboot was started, takes pods again, and its driver works.
: "${NODE:?}" "${GPUS:?}" "${MINIMUM:?}" "${MINIMUM_NEEDED_BY:?}" "${START_TIMEOUT_SECONDS:?}"
# include: shared_driver_state.sh
# include: shared_boot.sh

# node_is_back: kubelet has reported since K3s started, that is not what it said before the reboot; and offers the GPUs.
node_is_back() {
    seen=$(own_kubectl get node "$NODE" \
        -o "jsonpath={.status.conditions[?(@.type==\"Ready\")].lastHeartbeatTime} $ALLOCATABLE_GPUS") || { echo "$seen" && return 1; }
    started=$(date -d "$(systemctl show "$unit" -p ExecMainStartTimestamp --value)" +%s)
    offered=${seen#* }
    echo "last report at ${seen%% *}, ${offered:-0} GPUs"
    [ "$(date -d "${seen%% *}" +%s)" -ge "$started" ] && [ "${offered:-0}" -ge "$(recorded gpus || echo 0)" ]
}

if [ -e "$REBOOT_RECORD" ]; then
    [ "$(recorded mark)" != "$(boot_mark)" ] ||
        fail "the machine did not reboot" "its boot mark is still $(boot_mark): $(recorded why)" \
            "look at journalctl -u edge-gpu-reboot and systemd-inhibit --list; reboot it by hand, then deploy again"
    say "booted again; before: $(recorded why)"
    unit=$(k3s_unit)
    if [ -n "$unit" ]; then
        wait_until "$START_TIMEOUT_SECONDS" systemctl is-active "$unit" ||
            fail "$unit does not come up after the reboot" "it is $LAST_PROBE after $START_TIMEOUT_SECONDS s" "journalctl -u $unit"
        wait_until "$START_TIMEOUT_SECONDS" node_is_back ||
            fail "the node does not offer its $(recorded gpus) GPUs again" "after $START_TIMEOUT_SECONDS s: $LAST_PROBE" \
                "kubectl describe node $NODE; kubectl get pods -A --field-selector spec.nodeName=$NODE"
        if [ "$(recorded cordoned)" = 1 ]; then
            wait_until "$START_TIMEOUT_SECONDS" own_kubectl uncordon "$NODE" ||
                fail "the node is still cordoned" "$LAST_PROBE" "kubectl uncordon $NODE"
            say "takes pods again"
        fi
    fi
    rm -f "$REBOOT_RECORD"
fi
if is_jetson; then exit 0; fi
look_at_driver
judge_driver
demand_driver
