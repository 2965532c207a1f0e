# Preflight's look at what would be in K3s's way.

k3s_findings() {
    look_at_k3s
    look_at_other_kubernetes
    look_at_ports
    look_at_firewall
    look_at_templates
}

ours() { grep -q '^# Managed by edge-gpu' "/etc/systemd/system/$1.service" 2>/dev/null; }

look_at_k3s() {
    check k3s
    case $ROLE in
    server) unit=k3s other=k3s-agent ;;
    *) unit=k3s-agent other=k3s ;;
    esac
    seen="not installed"
    for installed in $unit $other; do
        file=/etc/systemd/system/$installed.service
        [ -e "$file" ] || continue
        seen="$installed is ours"
        ours "$installed" ||
            finding error "K3s is here already, installed by something else" "$file is not ours" \
                "if it may go: /usr/local/bin/k3s-uninstall.sh or k3s-agent-uninstall.sh, then deploy again"
        [ "$installed" = "$unit" ] ||
            finding error "the machine is a K3s node of the other role" "$file exists, the fleet file says $ROLE" \
                "take the node out of the fleet file, deploy, add it with its new role, deploy"
    done
    checked "$seen"
}

look_at_other_kubernetes() {
    check kubernetes
    for file in /etc/kubernetes/kubelet.conf /var/lib/rancher/rke2 /var/snap/microk8s/current /var/lib/k0s; do
        [ ! -e "$file" ] ||
            finding error "another Kubernetes is on this machine" "$file exists" \
                "remove it (kubeadm reset, rke2-uninstall.sh, snap remove microk8s, k0s reset), or use another machine"
    done
    checked "no other one"
}

# holder TCP_PORT: the socket that listens there.
holder() { ss -Hltnp 2>/dev/null | awk -v port=":$1\$" '$4 ~ port {print $4, $6; exit}'; }

look_at_ports() {
    check ports
    if ours k3s || ours k3s-agent; then
        checked "K3s is ours, and so are its ports"
        return 0
    fi
    if ! command -v ss >/dev/null; then
        finding warning "the ports cannot be looked at" "no ss in $PATH" "apt-get install iproute2"
        return 0
    fi
    ports="6444 10248 10249 10250 10256"
    [ "$ROLE" != server ] || ports="6443 $ports 10257 10258 10259"
    [ "$ETCD" != 1 ] || ports="$ports 2379 2380"
    for port in $ports; do
        found=$(holder "$port")
        [ -z "$found" ] ||
            finding error "TCP port $port is in use" "it is listened on: $found" "stop that program, or move it to another port"
    done
    [ -z "$(ss -Hlun 'sport = :8472' 2>/dev/null)" ] ||
        finding error "UDP port 8472 is in use" "flannel's VXLAN needs it" "stop the program: ss -lunp 'sport = :8472'"
    checked "free: $ports"
}

look_at_firewall() {
    check firewall
    wall=
    if grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then wall=ufw; fi
    if systemctl is-active --quiet firewalld 2>/dev/null; then wall=firewalld; fi
    [ -z "$wall" ] ||
        finding warning "$wall is on" "it drops what it was not told to let pass" \
            "let pass between nodes TCP 6443 and 10250, UDP 8472 (servers: TCP 2379-2380), and 10.42.0.0/16 and 10.43.0.0/16"
    checked "none is on"
}

look_at_templates() {
    check containerd
    for file in /var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl \
        /var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl; do
        [ -e "$file" ] || continue
        template="a containerd template overrides the runtimes that K3s finds"
        fix="move it away: K3s finds the nvidia runtime by itself; additions go into config-v3.toml.d/*.toml beside it"
        if grep -Eq 'io\.containerd\.runtime\.v1\.linux|NoFlannel' "$file"; then
            finding error "$template" "$file is the one that old k3d guides download; no K3s from 1.22 on works with it" "$fix"
        elif ! grep -Eq '\{\{-? *template +"base" +\.' "$file"; then
            finding error "$template" "$file is not built on K3s's own: it has no {{ template \"base\" . }}" "$fix"
        elif grep -Eq "runtimes\.['\"]?nvidia['\"]?\]" "$file"; then
            finding error "$template" "$file defines the runtime nvidia a second time, at which containerd stops" "$fix"
        else
            finding warning "a containerd template is here" "$file is built on K3s's own" \
                "nothing, if it is wanted; else move it away"
        fi
    done
    checked "no template"
}
