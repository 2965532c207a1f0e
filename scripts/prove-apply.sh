#!/bin/sh
# Exits 0 when `terraform apply` of the stack edge-gpu brought up a GPU node over SSH on this machine, its GPU check passed
# on the machine's own GPUs, and a second apply changed nothing. The machine is left as it was (see help).
set -eu
umask 022
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

usage() {
    cat <<'HELP'
usage: sh KIT/prove-apply.sh [--json FILE] [--stacks "NAME ..."] [--probe COMMAND]

KIT                where `python -m scripts.apply_kit` made it: its stacks name absolute paths
--json FILE        write the result there too (default: only printed)
--stacks "NAME …"  which of the kit's stacks are applied, one after the other (default: all, in the kit's order)
--probe COMMAND    start the node, run COMMAND on it as root, apply nothing

The node is a root file system from the kit with systemd as its first process and sshd, in mount, network, process, IPC,
UTS and cgroup namespaces of its own; the machine's GPUs and driver are bound in. Terraform runs beside it and reaches it
over a network of these two, by SSH with a pinned host key. Nothing is downloaded: the node installs from the bundle.
HELP
}

die() {
    printf 'ERROR prove-apply: %s\n  cause: %s\n  fix: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

JSON='' WANTED='' PROBE=''
while [ $# -gt 0 ]; do
    case $1 in
    --json | --stacks | --probe)
        [ $# -ge 2 ] || die "$1 has no value" "nothing follows it" "see: sh prove-apply.sh --help"
        case $1 in --json) JSON=$2 ;; --stacks) WANTED=$2 ;; *) PROBE=$2 ;; esac
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) die "unknown argument $1" "it is none of ours" "see: sh prove-apply.sh --help" ;;
    esac
    shift
done
HERE=$(cd "$(dirname "$0")" && pwd)
[ -f "$HERE/settings" ] || die "$HERE is no kit" "it has no settings" "make one: python -m scripts.apply_kit"
# shellcheck source=/dev/null
. "$HERE/settings"
: "${KIT:?}" "${GPUS:?}"
[ "$HERE" = "$KIT" ] || die "the kit lies in the wrong place" "it is in $HERE, and its stacks name $KIT" "move it there"
RUN=$KIT/run
STACKS=${WANTED:-$STACKS}

# shellcheck disable=SC2317 # called by what the trap calls
end_node() {
    pid=$(cat "$RUN/pid" 2>/dev/null || true)
    # The kernel ends all processes of a namespace with its first one, the node's among them.
    if [ -n "$pid" ] && [ -d "/proc/$pid" ] && grep -q edge-gpu-apply "/proc/$pid/cmdline" 2>/dev/null; then
        kill -KILL "$pid" 2>/dev/null || true
        tries=0
        while [ -d "/proc/$pid" ] && [ "$tries" -lt 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
    fi
    if [ -f "$RUN/cgroups" ]; then
        while IFS= read -r group; do
            tries=0
            until ! [ -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || [ "$tries" -ge 50 ]; do
                sleep 0.1
                tries=$((tries + 1))
            done
        done <"$RUN/cgroups"
    fi
    # mount(8) makes this folder of its own.
    [ ! -f "$RUN/no-run-mount" ] || rmdir /run/mount 2>/dev/null || true
    rm -rf --one-file-system "$RUN" || die "$RUN cannot be removed" "something still uses it" "look at: fuser -vm $RUN"
    rm -f "$KIT"/edge/terraform.tfstate* "$KIT"/stacks/*/.terraform.lock.hcl
}

# --- can it be done here? Nothing was changed so far.
[ "$(id -u)" -eq 0 ] || die "not root" "the user is $(id -un)" "run it as root"
for tool in awk find grep ldconfig mount nsenter pgrep pivot_root ps sed setsid tar timeout unshare xz; do
    command -v "$tool" >/dev/null || die "$tool is missing" "no $tool in $PATH" "install Debian's or Ubuntu's package of it"
done
[ ! -e "$RUN" ] || die "$RUN exists already" "another proof runs, or one was killed" "end it, then: rm -r --one-file-system $RUN"
running=$(for name in k3s-server k3s-agent kubelet; do pgrep -x "$name" || true; done)
[ -z "$running" ] || [ "$STAND_IN_GPUS" -gt 0 ] ||
    die "another Kubernetes node runs on this machine" "process $(echo "$running" | tr '\n' ' ')is K3s or a kubelet" "stop it first"

DRIVER_LIBRARIES='' DRIVER_PROGRAMS=''
if [ "$STAND_IN_GPUS" -eq 0 ]; then
    smi=$(command -v nvidia-smi || true)
    for folder in /usr/local/nvidia/bin /opt/nvidia/bin; do
        [ -n "$smi" ] || [ ! -x "$folder/nvidia-smi" ] || smi=$folder/nvidia-smi
    done
    [ -n "$smi" ] || die "no NVIDIA driver" "nvidia-smi is neither in $PATH nor in the usual folders" "install the driver"
    gpus=$(timeout 60 "$smi" --query-gpu=uuid,driver_version,memory.total,name --format=csv,noheader 2>&1) ||
        die "no usable NVIDIA GPU" "$smi: $gpus" "look at dmesg and /proc/driver/nvidia/version"
    count=$(printf '%s\n' "$gpus" | grep -c '^GPU-' || true)
    [ "$count" -eq "$GPUS" ] || die "the machine has $count GPUs, the kit is for $GPUS" "$smi lists: $gpus" "make a kit with --gpus $count"
    DRIVER=$(printf '%s\n' "$gpus" | head -n 1 | cut -d, -f2 | tr -d ' ')
    DRIVER_PROGRAMS=$(dirname "$(readlink -f "$smi")")
    cached=$(ldconfig -p | awk '$1 == "libnvidia-ml.so.1" {print $NF; exit}')
    [ -z "$cached" ] || DRIVER_LIBRARIES=$(dirname "$cached")
    for folder in "/usr/lib/$(uname -m)-linux-gnu" /usr/lib64 /usr/local/nvidia/lib64 /opt/nvidia/lib64; do
        [ -n "$DRIVER_LIBRARIES" ] || [ ! -e "$folder/libnvidia-ml.so.1" ] || DRIVER_LIBRARIES=$folder
    done
    [ -n "$DRIVER_LIBRARIES" ] || die "the driver's libraries are nowhere to be found" "no libnvidia-ml.so.1" "run ldconfig with their folder"
else
    gpus="GPU-of-the-lab, stand-in, 0 MiB, the lab's stand-in GPU" DRIVER=stand-in
fi
free=$(df -Pm "$KIT" | awk 'NR == 2 {print $4}')
[ "$free" -ge 4000 ] || die "$KIT has $free MiB free, wanted are 4000" "the node and its images lie there" "free space"

status=1
# shellcheck disable=SC2317 # called by the trap
finish() {
    code=$?
    trap - EXIT
    trap '' HUP INT TERM
    end_node
    [ "$code" -ne 0 ] || exit "$status"
    exit "$code"
}
uptime_cs() { awk '{printf "%d\n", $1 * 100}' /proc/uptime; }
begun=$(uptime_cs)
trap finish EXIT
trap 'exit 130' HUP INT TERM
mkdir -p "$RUN/root" "$RUN/programs"
chmod 0755 "$RUN"
: >"$RUN/phases"
[ -e /run/mount ] || : >"$RUN/no-run-mount"
tar -xJf "$KIT/programs.tar.xz" -C "$RUN/programs" --no-same-owner &
programs=$!
tar -xJf "$KIT/node-root.tar.xz" -C "$RUN/root" --numeric-owner -p
tar -xf "$KIT/node-files.tar" -C "$RUN/root" --numeric-owner -p
wait "$programs"
echo "unpack node and Terraform $(($(uptime_cs) - begun))" >>"$RUN/phases"

# The node's cgroup: on v2 with all controllers that there are, on v1 one in each hierarchy.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    tr ' ' '\n' </sys/fs/cgroup/cgroup.controllers | while IFS= read -r controller; do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || echo "cgroup controller $controller cannot be handed on" >&2
    done
    echo /sys/fs/cgroup/edge-gpu-apply
else
    awk '$3 ~ /^cgroup2?$/ {print $2 "/edge-gpu-apply"}' /proc/self/mounts
fi >"$RUN/cgroups"
while IFS= read -r group; do
    mkdir -p "$group"
    # cpuset of v1 takes no process before it knows its CPUs.
    for file in cpuset.cpus cpuset.mems; do
        [ -e /sys/fs/cgroup/cgroup.controllers ] || [ ! -e "$group/$file" ] || cat "${group%/*}/$file" >"$group/$file"
    done
done <"$RUN/cgroups"

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
cat >"$RUN/parameters" <<PARAMETERS
KIT='$KIT'
NODE='$NODE'
NODE_ADDRESS='$NODE_ADDRESS'
OPERATOR_ADDRESS='$OPERATOR_ADDRESS'
STACKS='$STACKS'
DRIVER_LIBRARIES='$DRIVER_LIBRARIES'
DRIVER_PROGRAMS='$DRIVER_PROGRAMS'
PROBE=$(quoted "$PROBE")
PARAMETERS
setsid env -i PATH="$PATH" LC_ALL=C HOME=/root unshare --mount --net --pid --ipc --uts --fork --kill-child \
    sh "$KIT/prove_apply/operator.sh" edge-gpu-apply "$RUN" >"$RUN/log" 2>&1 </dev/null &
unshared=$!
shown=0
show_log() {
    lines=$(wc -l <"$RUN/log")
    [ "$lines" -le "$shown" ] || sed -n "$((shown + 1)),${lines}p" "$RUN/log"
    shown=$lines
}
while kill -0 "$unshared" 2>/dev/null; do
    if [ ! -s "$RUN/pid" ]; then ps -o pid= --ppid "$unshared" 2>/dev/null | awk '{print $1; exit}' >"$RUN/pid"; fi
    show_log
    sleep 0.2
done
code=0
wait "$unshared" || code=$?
show_log
[ "$code" -eq 0 ] || {
    echo '--- the node said:' >&2
    tail -n 40 "$RUN/node.log" >&2 || true
    exit 1
}
[ -z "$PROBE" ] || {
    cat "$RUN/phases"
    status=0
    exit 0
}
total=$(($(uptime_cs) - begun))

# --- the result
escape() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "$PRETTY_NAME")
{
    printf '{\n  "verdict": "passed",\n  "date": "%s",\n  "gpus": [' "$(date -u +%Y-%m-%d)"
    comma=''
    printf '%s\n' "$gpus" | while IFS=, read -r uuid _ memory name; do
        printf '%s\n    {"uuid": "%s", "name": "%s", "memory": "%s"}' "$comma" "$uuid" "$(escape "${name# }")" "${memory# }"
        comma=,
    done
    printf '\n  ],\n  "stacks": {'
    comma=''
    for stack in $STACKS; do
        printf '%s\n    "%s": {"gpu_report": %s, "second_apply": "%s", "check": "%s", "cdi_devices": "%s"}' "$comma" "$stack" "$(cat "$RUN/report-$stack.json")" \
            "$(escape "$(grep '^No changes' "$RUN/second-$stack.log")")" "$(escape "$(grep '^PASS ' "$RUN/check-$stack.log" | paste -sd';')")" \
            "$(paste -sd' ' "$RUN/cdi-$stack")"
        comma=,
    done
    printf '\n  },\n  "node": "%s, %s, %s",\n' "$(escape "$(sed -n 's/^PRETTY_NAME=//p' "$RUN/root/etc/os-release" | tr -d '"')")" \
        "$(escape "$(cat "$RUN/systemd-version")")" "$(escape "$(cat "$RUN/systemd-state")")"
    printf '  "machine": "%s, Linux %s",\n  "driver": "%s",\n' "$(escape "$system")" "$(uname -r)" "$DRIVER"
    printf '  "terraform": "%s",\n  "terraform_plugins": "%s",\n' "$TERRAFORM_VERSION" "$(escape "$PLUGINS")"
    printf '  "k3s": "%s",\n  "container_toolkit": "%s",\n  "device_plugin": "%s",\n  "check_image": "%s",\n' \
        "$(escape "$(cat "$RUN/k3s-version")")" "$(cat "$RUN/toolkit-version")" "$PLUGIN_VERSION" "$CHECK_IMAGE"
    printf '  "bundle_sha256": "%s",\n  "seconds": {' "$BUNDLE_SHA256"
    comma=''
    while read -r line; do
        printf '%s\n    "%s": %s' "$comma" "${line% *}" "$(awk -v c="${line##* }" 'BEGIN {printf "%.2f", c / 100}')"
        comma=,
    done <"$RUN/phases"
    printf ',\n    "in all": %s\n  }\n}\n' "$(awk -v c="$total" 'BEGIN {printf "%.2f", c / 100}')"
} >"$RUN/result.json"

printf '\n%-44s %s\n' PHASE SECONDS
printf '%-44s %s\n' -------------------------------------------- -------
{
    cat "$RUN/phases"
    echo "in all $total"
} | while read -r line; do printf '%-44s %7s\n' "${line% *}" "$(awk -v c="${line##* }" 'BEGIN {printf "%.2f", c / 100}')"; done
printf 'VERDICT: passed\n\n'
cat "$RUN/result.json"
[ -z "$JSON" ] || cp "$RUN/result.json" "$JSON"
status=0
exit 0
