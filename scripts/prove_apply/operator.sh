#!/bin/sh
# First process of the operator's side: makes the network of two, starts the node behind it, and applies the kit's
# stacks over SSH. Ends all of it by ending. Arguments: a mark that the process is known by, and the folder of this run.
set -eu
umask 022
RUN=$2
ROOT=$RUN/root
# shellcheck source=/dev/null
. "$RUN/parameters"
: "${NODE:?}"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C HOME=/root

die() {
    printf 'ERROR prove-apply: %s\n  cause: %s\n  fix: %s\n' "$1" "$2" "$3" >&2
    exit 1
}
now() { awk '{printf "%d\n", $1 * 100}' /proc/uptime; }
start=$(now)
phase() {
    echo "$1 $(($(now) - start))" >>"$RUN/phases"
    start=$(now)
}

mount --make-rprivate /
mount -t proc proc /proc
# The machine may have no `ip`: the node's own does.
ip() { chroot "$ROOT" ip "$@"; }
mkdir -p "$ROOT/run/netns"
: >"$ROOT/run/netns/node"
unshare "--net=$ROOT/run/netns/node" true
ip link set lo up
problem=$(ip link add node type veth peer name eth0 netns node 2>&1) ||
    die "no pair of network interfaces can be made" "$problem" "use a kernel that has veth"
ip address add "$OPERATOR_ADDRESS/24" dev node
ip link set node up

nsenter "--net=$ROOT/run/netns/node" unshare --mount --pid --ipc --uts --fork --kill-child \
    sh "$KIT/prove_apply/node.sh" "$RUN" >"$RUN/node.log" 2>&1 </dev/null &
unshared=$!
inside() { nsenter -t "$node" -m -p -n -i -u -C -r -w "$@"; }
waited=0
node=''
until [ -n "$node" ] && [ "$(inside systemctl is-active ssh 2>/dev/null)" = active ]; do
    kill -0 "$unshared" 2>/dev/null || die "the node ended" "$(tail -n 5 "$RUN/node.log")" "correct what it names"
    [ "$waited" -lt 600 ] ||
        die "the node's sshd does not run after 60 s" "$(inside systemctl --failed --no-legend 2>&1 | head -n 5); $(tail -n 5 "$RUN/node.log")" "see above"
    [ -n "$node" ] || node=$(ps -o pid= --ppid "$unshared" 2>/dev/null | awk '{print $1; exit}')
    sleep 0.1
    waited=$((waited + 1))
done
inside systemctl --version | head -n 1 >"$RUN/systemd-version"
inside systemctl is-system-running >"$RUN/systemd-state" 2>&1 || true
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    handed_on=$(inside cat /sys/fs/cgroup/system.slice/cgroup.controllers)
    for controller in memory pids; do
        case " $handed_on " in
        *" $controller "*) ;;
        *) die "the node's services have no cgroup controller $controller" "handed on are: ${handed_on:-none}" "see which this machine has: /sys/fs/cgroup/cgroup.controllers" ;;
        esac
    done
fi
phase 'node: systemd, sshd'
[ -z "$PROBE" ] || {
    inside sh -c "$PROBE" || true
    exit 0
}

export TF_CLI_CONFIG_FILE="$KIT/terraform.rc" TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
# terraform LIMIT_SECONDS COMMAND [OPTION]
terraform() {
    limit=$1
    shift
    timeout --kill-after=30 "$limit" "$RUN/programs/terraform" -chdir="$KIT/stacks/$stack" "$@" -no-color -input=false
}
for stack in $STACKS; do
    echo "--- terraform apply: $stack"
    export TF_DATA_DIR="$RUN/data-$stack"
    terraform 120 init >"$RUN/init-$stack.log" 2>&1 || {
        cat "$RUN/init-$stack.log" >&2
        die "terraform init failed" "see its lines above" "correct what they name"
    }
    phase "$stack: terraform init"
    terraform 900 apply -auto-approve || {
        inside sh -c 'journalctl --no-pager -u k3s | grep -E "level=(fatal|error)|E[0-9]{4} " | tail -n 40' >&2 || true
        inside k3s kubectl get pods -A -o wide >&2 || true
        inside sh -c 'k3s kubectl get events -A | tail -n 20' >&2 || true
        inside sh -c 'k3s kubectl logs -n nvidia-device-plugin -l app.kubernetes.io/name=nvidia-device-plugin --all-containers --tail=40' >&2 || true
        die "terraform apply of $stack failed" "see its lines above" "correct what they name"
    }
    phase "$stack: terraform apply"
    terraform 300 apply -auto-approve >"$RUN/second-$stack.log" 2>&1 || {
        cat "$RUN/second-$stack.log" >&2
        die "the second apply of $stack failed" "see its lines above" "correct what they name"
    }
    cat "$RUN/second-$stack.log"
    grep -q '^No changes' "$RUN/second-$stack.log" || die "the second apply of $stack changed something" "see its lines above" "report it"
    phase "$stack: second apply, no changes"
    timeout 60 "$RUN/programs/terraform" -chdir="$KIT/stacks/$stack" output -no-color -raw gpu_report >"$RUN/report-$stack.json"
    inside k3s kubectl logs -n gpu-check -l "job-name=gpu-check-$NODE" --tail=-1 >"$RUN/check-$stack.log" 2>&1 || true
    # What the kubelet asked containerd for, by the names of a CDI specification; nothing with other strategies.
    # shellcheck disable=SC2016 # for the node's shell
    inside sh -c 'for one in $(k3s crictl ps -a -q --name gpu-check); do k3s crictl inspect "$one"; done' |
        grep -o 'k8s.device-plugin.nvidia.com/gpu=[^"]*' | sort -u >"$RUN/cdi-$stack" || true
    cat "$RUN/check-$stack.log" "$RUN/cdi-$stack"
    inside k3s kubectl get pods -n gpu-check -o 'custom-columns=NAME:.metadata.name,STARTED:.status.containerStatuses[0].state.terminated.startedAt,FINISHED:.status.containerStatuses[0].state.terminated.finishedAt,GPU:.status.containerStatuses[0].state.terminated.message'
done
inside k3s kubectl get nodes -o wide --no-headers >"$RUN/nodes"
inside k3s kubectl get pods -A -o wide --no-headers >"$RUN/pods"
cat "$RUN/nodes" "$RUN/pods"
# shellcheck disable=SC2016 # dpkg-query's variable
inside dpkg-query -W -f '${Version}' nvidia-container-toolkit >"$RUN/toolkit-version"
inside k3s --version | head -n 1 >"$RUN/k3s-version"
start=$(now)
