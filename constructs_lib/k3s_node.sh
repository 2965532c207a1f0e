# Exits 0 when K3s runs here with the wanted binary, configuration and identity, and its node is Ready at that version.
: "${NODE:?}" "${ROLE:?}" "${K3S_VERSION:?}" "${K3S_URL:?}" "${K3S_SHA256:?}" "${CONFIG:?}" "${IMAGE_ARCHIVES?}"
: "${GPUS:?}" "${START_TIMEOUT_SECONDS:?}"

K3S=/usr/local/bin/k3s
DATA=/var/lib/rancher/k3s
case $ROLE in
server) UNIT=k3s ;;
agent) UNIT=k3s-agent ;;
esac

# --- identity: given before the first start, never changed afterwards
tls=$DATA/server/tls
if [ "$ROLE" = server ]; then
    if [ ! -e "$tls/server-ca.crt" ]; then
        mkdir -p "$tls"
        cp -R "$SECRETS/tls/." "$tls/"
        find "$tls" -type d -exec chmod 0700 {} + -o -type f -exec chmod 0600 {} +
        chown -R root:root "$tls"
        say "placed the cluster's certificate authorities"
    elif ! same_file "$tls/server-ca.crt" "$SECRETS/tls/server-ca.crt"; then
        fail "this server belongs to another cluster" "$tls/server-ca.crt is not this fleet's" \
            "use the secrets folder that the cluster was made with, or uninstall K3s here first"
    fi
    put 0600 /etc/rancher/k3s/agent-token <"$SECRETS/agent-token"
fi
put 0600 /etc/rancher/k3s/token <"$SECRETS/token"

# --- files
fetch "$K3S_URL" "$K3S_SHA256" "$K3S"
chmod 0755 "$K3S"
put 0600 /etc/rancher/k3s/config.yaml <<CONFIG_FILE
$CONFIG
CONFIG_FILE
for name in kubectl crictl ctr; do
    [ -e "/usr/local/bin/$name" ] || ln -s k3s "/usr/local/bin/$name"
done
put 0644 "/etc/systemd/system/$UNIT.service" <<UNIT_FILE
# Managed by edge-gpu: changes here are overwritten by the next deploy.
[Unit]
Description=Lightweight Kubernetes, $ROLE
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
Delegate=yes
KillMode=process
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=$K3S $ROLE
UNIT_FILE

# Archives that come after K3s started are imported by its own watcher: no restart for them.
restart=$CHANGED
printf '%s\n' "$IMAGE_ARCHIVES" | while read -r sha256 url; do
    [ -n "$url" ] || continue
    fetch "$url" "$sha256" "$DATA/agent/images/$(basename "$url")"
done

# K3s looks for the NVIDIA runtime only when it starts.
runtimes=$DATA/agent/etc/containerd/config.toml
if [ "$GPUS" -gt 0 ] && ! grep -q nvidia-container-runtime "$runtimes" 2>/dev/null; then restart=1; fi
systemctl is-active --quiet "$UNIT" || restart=1

# --- start
not_started() {
    {
        echo "last probe: ${LAST_PROBE:-none}"
        echo "unit: $(systemctl show "$UNIT" -p ActiveState,SubState,Result,ExecMainStatus | tr '\n' ' ')"
        journalctl -u "$UNIT" -n 50 --no-pager -o cat | cut -c1-400
    } | masked >&2
    fail "$1" "$UNIT did not get there within $START_TIMEOUT_SECONDS s, see its last 50 lines above" "$2"
}

node_is_ready() {
    seen=$("$K3S" kubectl --kubeconfig "$DATA/agent/kubelet.kubeconfig" --request-timeout=5s get node "$NODE" \
        -o 'jsonpath={.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}')
    echo "$seen"
    [ "$seen" = "$K3S_VERSION True" ]
}

if [ "$restart" -eq 1 ]; then
    systemctl daemon-reload
    systemctl enable --quiet "$UNIT"
    systemctl restart --no-block "$UNIT"
    say "starting $UNIT $K3S_VERSION"
fi
started=$(date +%s)
wait_until "$START_TIMEOUT_SECONDS" systemctl is-active "$UNIT" ||
    not_started "K3s does not start" "correct what the journal names; can this node reach the server's port 6443?"
wait_until "$START_TIMEOUT_SECONDS" node_is_ready ||
    not_started "the node is not Ready at $K3S_VERSION" "correct what the journal names"
if [ "$GPUS" -gt 0 ]; then
    grep -q nvidia-container-runtime "$runtimes" ||
        fail "K3s does not know the nvidia runtime" "$runtimes does not name nvidia-container-runtime" \
            "is /usr/bin/nvidia-container-runtime there, and no template beside that file?"
fi
say "node is Ready at $K3S_VERSION after $(($(date +%s) - started)) s"
