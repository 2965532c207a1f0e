# Exits 0 when K3s runs here with the wanted binary, configuration and identity, and its node is Ready at that version.
# When what was changed does not start, what ran before is put back.
: "${NODE:?}" "${ROLE:?}" "${JOINS:?}" "${K3S_VERSION:?}" "${K3S_URL:?}" "${K3S_SHA256:?}" "${CONFIG:?}"
: "${REGISTRIES?}" "${IMAGE_ARCHIVES?}" "${GPUS:?}" "${START_TIMEOUT_SECONDS:?}"

K3S=/usr/local/bin/k3s
DATA=/var/lib/rancher/k3s
SETTINGS=/etc/rancher/k3s
BEFORE=$SETTINGS/edge-gpu-before
case $ROLE in
server) UNIT=k3s ;;
agent) UNIT=k3s-agent ;;
esac

# --- version
# rank VERSION: a word that sorts as releases follow each other; a release comes after its candidates.
rank() {
    awk -v version="$1" 'BEGIN {
        split(substr(version, 2), part, "+"); n = split(part[1], core, "-"); split(core[1], number, ".")
        candidate = n > 1 ? core[2] : "99999"; gsub(/[^0-9]/, "", candidate)
        build = part[2] ~ /^k3s[0-9]/ ? substr(part[2], 4) + 0 : 0
        printf "%05d%05d%05d%05d%05d", number[1], number[2], number[3], candidate, build
    }'
}
minor() { echo "$1" | cut -d. -f2; }
installed=$("$K3S" --version 2>/dev/null | awk 'NR == 1 {print $3}')
if [ -n "$installed" ] && [ "$installed" != "$K3S_VERSION" ]; then
    older=$(printf '%s\n' "$(rank "$K3S_VERSION")" "$(rank "$installed")" | sort | head -n 1)
    [ "$older" = "$(rank "$installed")" ] ||
        fail "K3s $installed is here, the fleet file has the older $K3S_VERSION; nothing was changed" \
            "Kubernetes cannot go back: what the newer version stored, the older one may not read" \
            "set k3s.version to $installed or newer; to really go back, take the node out of the fleet file and in again"
    [ "$(minor "$K3S_VERSION")" -le "$(($(minor "$installed") + 1))" ] ||
        fail "K3s $installed cannot become $K3S_VERSION at once; nothing was changed" \
            "Kubernetes is upgraded one minor version at a time" "deploy a v1.$(($(minor "$installed") + 1)) first"
fi

# --- what runs now, for the way back; after a run that was cut off, what ran before that one
if systemctl is-active --quiet "$UNIT" && [ -e "$SETTINGS/config.yaml" ]; then
    rm -rf "$BEFORE"
    mkdir -p "$BEFORE"
    for name in config.yaml token agent-token registries.yaml; do
        [ ! -e "$SETTINGS/$name" ] || cp -p "$SETTINGS/$name" "$BEFORE/"
    done
    cp -p "/etc/systemd/system/$UNIT.service" "$BEFORE/"
    ln -f "$K3S" "$K3S.edge-gpu-before"
fi

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
fi

# K3s encrypts its bootstrap data with the server token: a running server has to do that anew with another one. What is
# sent goes through files that this step removes: a secret in an argument could be read by everybody on this machine.
password_of() { sed -E 's/^K10[0-9a-f]+::[a-z]+://; s/["\\]/\\&/g' "$1"; }
as_server() { # as_server TOKEN_FILE CURL_ARGUMENT...: prints the status of the answer
    printf 'user = "server:%s"\n' "$(password_of "$1")" >"$SECRETS/as-server"
    shift
    curl --silent --max-time 60 --cacert "$tls/server-ca.crt" --config "$SECRETS/as-server" \
        --output "$SECRETS/answer" --write-out '%{http_code}' "$@" https://127.0.0.1:6443/v1-k3s/token || true
}
rotate_token() {
    printf '{"newToken": "%s"}\n' "$(password_of "$SECRETS/token")" >"$SECRETS/new-token"
    status=$(as_server "$SETTINGS/token" --request PUT --data "@$SECRETS/new-token")
    # 405 to a GET: the new token opens the door already, an earlier run was cut off after this.
    if [ "$status" != 200 ] && [ "$(as_server "$SECRETS/token")" != 405 ]; then
        fail "the server token changed, and K3s did not take the new one (answer $status); nothing was changed" \
            "$(cut -c1-200 "$SECRETS/answer" 2>/dev/null || echo "K3s does not answer")" \
            "put the old server/token back into the fleet's secrets, get K3s to run on this node, then change it again"
    fi
    say "K3s took the new server token"
}
if [ "$ROLE" = server ]; then
    if [ "$JOINS" = no ] && [ -e "$SETTINGS/token" ] && [ -e "$tls/../db" ] &&
        ! same_file "$SETTINGS/token" "$SECRETS/token"; then
        rotate_token
    fi
    put 0600 "$SETTINGS/agent-token" <"$SECRETS/agent-token"
fi
put 0600 "$SETTINGS/token" <"$SECRETS/token"
# There is no way back to a server token that K3s gave up.
if [ "$ROLE" = server ] && [ -d "$BEFORE" ]; then cp -p "$SETTINGS/token" "$BEFORE/token"; fi

# --- files
fetch "$K3S_URL" "$K3S_SHA256" "$K3S"
chmod 0755 "$K3S"
put 0600 "$SETTINGS/config.yaml" <<CONFIG_FILE
$CONFIG
CONFIG_FILE
if [ -n "$REGISTRIES" ]; then
    put 0600 "$SETTINGS/registries.yaml" <<REGISTRIES_FILE
# Managed by edge-gpu: changes here are overwritten by the next deploy.
$REGISTRIES
REGISTRIES_FILE
elif grep -qs '^# Managed by edge-gpu' "$SETTINGS/registries.yaml"; then
    rm "$SETTINGS/registries.yaml"
    CHANGED=1
    say "removed $SETTINGS/registries.yaml"
fi
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
start() {
    started_at=$(date -u +%Y-%m-%dT%H:%M:%S)
    systemctl daemon-reload
    systemctl enable --quiet "$UNIT"
    # Also sets its count of restarts to 0.
    systemctl reset-failed "$UNIT" 2>/dev/null || true
    systemctl restart --no-block "$UNIT"
}

# comes_up COMMAND...: waits until the command succeeds, its last output is in $LAST_PROBE. Where K3s ran before, ending
# again and again is an answer: waiting on would only keep the node down.
comes_up() {
    deadline=$(($(date +%s) + START_TIMEOUT_SECONDS))
    while ! LAST_PROBE=$("$@" 2>&1); do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        [ ! -d "$BEFORE" ] || [ "$(systemctl show "$UNIT" -p NRestarts --value)" -lt 3 ] || return 1
        sleep 0.5
    done
}

kubectl() { "$K3S" kubectl --kubeconfig "$DATA/agent/kubelet.kubeconfig" --request-timeout=5s "$@"; }

# A node that was Ready before is called so for another 40 s after its kubelet died: its lease tells.
node_is_ready() {
    seen=$(kubectl get node "$NODE" \
        -o 'jsonpath={.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}') || {
        echo "$seen"
        return 1
    }
    echo "$seen"
    [ "${seen#* }" = True ] || return 1
    if [ -d "$BEFORE" ] && [ -n "$started_at" ]; then
        renewed=$(kubectl get lease -n kube-node-lease "$NODE" -o 'jsonpath={.spec.renewTime}')
        echo "last sign of life $renewed, started at $started_at"
        [ "$(printf '%s\n' "$renewed" "$started_at" | sort | head -n 1)" = "$started_at" ] || return 1
    fi
    [ -z "$1" ] || [ "${seen% *}" = "$1" ]
}

# go_back WITH_BINARY: what ran before runs again.
go_back() {
    for name in config.yaml token agent-token registries.yaml; do
        if [ -e "$BEFORE/$name" ]; then cp -p "$BEFORE/$name" "$SETTINGS/"; else rm -f "$SETTINGS/$name"; fi
    done
    cp -p "$BEFORE/$UNIT.service" /etc/systemd/system/
    [ "$1" = no ] || [ ! -e "$K3S.edge-gpu-before" ] || mv -f "$K3S.edge-gpu-before" "$K3S"
    start
    comes_up systemctl is-active "$UNIT" && comes_up node_is_ready ''
}

not_started() { # not_started PHASE FIX WITH_BINARY
    seen_last=${LAST_PROBE:-none}
    {
        echo "phase: $1"
        echo "last probe: $seen_last"
        echo "unit: $(systemctl show "$UNIT" -p ActiveState,SubState,Result,ExecMainStatus,NRestarts | tr '\n' ' ')"
        journalctl -u "$UNIT" -n 50 --no-pager -o cat | cut -c1-400
    } | masked >&2
    # Where K3s ends again and again, its last lines are those of another start: what it ended with is further up.
    error=$(journalctl -u "$UNIT" -n 3000 --no-pager -o cat | grep -E 'level=fatal|exited: |^Error: ' | tail -n 1 |
        cut -c1-300 | masked)
    cause="$UNIT${error:+ said: $error}; last probe: $seen_last; see its last 50 lines above"
    if [ "$restart" -ne 1 ] || [ ! -d "$BEFORE" ]; then fail "$1 within $START_TIMEOUT_SECONDS s" "$cause" "$2"; fi
    if go_back "$3"; then
        rm -rf "$BEFORE" "$K3S.edge-gpu-before"
        fail "$1: what ran before is back, and the node is Ready with it" "$cause" "$2"
    fi
    fail "$1, and what ran before did not start again either" "$cause" "$2; the files of before are in $BEFORE"
}

started_at=
if [ "$restart" -eq 1 ]; then
    start
    say "starting $UNIT $K3S_VERSION"
fi
started=$(date +%s)
comes_up systemctl is-active "$UNIT" ||
    not_started "K3s does not start" "correct what the journal names; can this node reach the server's port 6443?" yes
# Once a new version has run, it may have stored what the old one cannot read.
same_binary=yes
[ ! -e "$K3S.edge-gpu-before" ] || same_file "$K3S" "$K3S.edge-gpu-before" || same_binary=no
comes_up node_is_ready "$K3S_VERSION" ||
    not_started "the node is not Ready at $K3S_VERSION" "correct what the journal names" "$same_binary"
if [ "$GPUS" -gt 0 ]; then
    grep -q nvidia-container-runtime "$runtimes" ||
        fail "K3s does not know the nvidia runtime" "$runtimes does not name nvidia-container-runtime" \
            "is /usr/bin/nvidia-container-runtime there, and no template beside that file?"
fi
rm -rf "$BEFORE" "$K3S.edge-gpu-before"
say "node is Ready at $K3S_VERSION after $(($(date +%s) - started)) s"
