#!/bin/sh
# Exits 0 when a CUDA kernel in a Kubernetes pod ran right on every NVIDIA GPU of this machine, on a node that the
# bundle's own steps brought up. The machine is left as it was: all of it happens in a throw-away root (see help).
set -eu
umask 022
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

usage() {
    cat <<'HELP'
usage: sh prove-gpu.sh BUNDLE [--keep] [--work DIRECTORY] [--json FILE] [--without-kernel]
       sh prove-gpu.sh --end [--work DIRECTORY]

BUNDLE             a bundle's file, the name that its parts share, or a directory it was unpacked to
--keep             leave the node running afterwards; --end ends it
--work DIRECTORY   for everything that is written, 2 GiB free; removed at the end (default /var/lib/edge-gpu-prove)
--json FILE        write the result there too (default: only printed)
--without-kernel   pass without a CUDA kernel, for images of the check that have none

The node lives in mount, network, process and IPC namespaces of its own, over a copy-on-write view of this machine's
files: packages, configuration, links and mounts that its steps make are gone with it. A small supervisor starts K3s
there in systemd's place. What this cannot undo by itself, the cgroups of pods, is removed at the end.
HELP
}

die() {
    printf 'ERROR prove-gpu: %s\n  cause: %s\n  fix: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

BUNDLE='' KEEP='' WORK=/var/lib/edge-gpu-prove JSON='' WITHOUT_KERNEL='' END=''
while [ $# -gt 0 ]; do
    case $1 in
    --keep) KEEP=1 ;;
    --end) END=1 ;;
    --without-kernel) WITHOUT_KERNEL=1 ;;
    --work | --json)
        [ $# -ge 2 ] || die "$1 has no value" "nothing follows it" "see: sh prove-gpu.sh --help"
        case $1 in --work) WORK=$2 ;; *) JSON=$2 ;; esac
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*) die "unknown option $1" "it is none of ours" "see: sh prove-gpu.sh --help" ;;
    *)
        [ -z "$BUNDLE" ] || die "more than one bundle" "$BUNDLE and $1" "name one"
        BUNDLE=$1
        ;;
    esac
    shift
done
case $WORK in /*) ;; *) WORK=$(pwd)/$WORK ;; esac

# --- the way back
# What K3s and its kubelet put at the root of the cgroups (v2) or of each controller (v1): nothing deeper is theirs.
cgroups_of_pods() {
    find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d \( -name kubepods -o -name k8s.io -o -name k3s \) 2>/dev/null || true
}
# They are empty: their processes ended with the namespace.
remove_cgroups() {
    cgroups_of_pods | while IFS= read -r group; do
        grep -qxF "$group" "$WORK/cgroups-before" 2>/dev/null || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

end_node() {
    pid=$(cat "$WORK/pid" 2>/dev/null || true)
    # The kernel ends all processes of the namespace with its first one.
    if [ -n "$pid" ] && [ -d "/proc/$pid" ] && grep -q edge-gpu-prove "/proc/$pid/cmdline" 2>/dev/null; then
        kill -KILL "$pid" 2>/dev/null || true
        tries=0
        while [ -d "/proc/$pid" ] && [ "$tries" -lt 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
    fi
    remove_cgroups
    # mount(8) makes this folder of its own.
    [ ! -f "$WORK/no-run-mount" ] || rmdir /run/mount 2>/dev/null || true
    rm -rf --one-file-system "$WORK" || die "$WORK cannot be removed" "something still uses it" "look at: fuser -vm $WORK"
}

if [ -n "$END" ]; then
    [ -f "$WORK/pid" ] || die "no node is kept in $WORK" "$WORK/pid does not exist" "name its --work directory"
    end_node
    echo "prove-gpu: ended, $WORK is removed"
    exit 0
fi

# --- can it be done here? Nothing was changed so far.
[ -n "$BUNDLE" ] || {
    usage >&2
    exit 1
}
[ "$(id -u)" -eq 0 ] || die "not root" "the user is $(id -un)" "run it as root"
for tool in apt-get awk curl df dpkg find grep ldconfig mount openssl pgrep pivot_root ps sed setsid sha256sum tar timeout umount unshare; do
    command -v "$tool" >/dev/null ||
        die "$tool is missing" "no $tool in $PATH" "install Debian's or Ubuntu's package of it (util-linux, procps, openssl, curl)"
done
[ ! -e "$WORK" ] || die "$WORK exists already" "another proof runs or was kept there" "sh prove-gpu.sh --end --work $WORK"
running=$(for name in k3s-server k3s-agent kubelet; do pgrep -x "$name" || true; done)
[ -z "$running" ] ||
    die "another Kubernetes node runs on this machine" "process $(echo "$running" | tr '\n' ' ')is K3s or a kubelet" \
        "stop it first: systemctl stop k3s k3s-agent (its pods hold the GPUs too)"

smi=$(command -v nvidia-smi || true)
for folder in /usr/local/nvidia/bin /opt/nvidia/bin /run/nvidia/driver/usr/bin /usr/lib/wsl/lib; do
    [ -n "$smi" ] || [ ! -x "$folder/nvidia-smi" ] || smi=$folder/nvidia-smi
done
[ -n "$smi" ] ||
    die "no NVIDIA driver" "nvidia-smi is neither in $PATH nor in the usual folders" "install the driver, or add its folder to PATH"
gpus=$(timeout 60 "$smi" --query-gpu=uuid,driver_version,memory.total,name --format=csv,noheader 2>&1) ||
    die "no usable NVIDIA GPU" "$smi: $gpus" "look at dmesg and /proc/driver/nvidia/version"
GPUS=$(printf '%s\n' "$gpus" | grep -c '^GPU-' || true)
[ "$GPUS" -gt 0 ] || die "no NVIDIA GPU" "$smi lists: $gpus" "use a machine that has one"
DRIVER=$(printf '%s\n' "$gpus" | head -n 1 | cut -d, -f2 | tr -d ' ')

# --- the bundle
uptime_cs() { awk '{printf "%d\n", $1 * 100}' /proc/uptime; }
size_mib=0
if [ -d "$BUNDLE" ]; then
    parts=
    [ -f "$BUNDLE/prove/settings" ] || die "$BUNDLE is no unpacked bundle for this" "it has no prove/settings" "name a bundle of a fleet with GPUs"
    size_mib=$(du -sm "$BUNDLE" | cut -f1)
    needed=1500
else
    if [ -f "$BUNDLE" ]; then parts=$BUNDLE; else
        first=$(find "$(dirname "$BUNDLE")" -maxdepth 1 -name "$(basename "$BUNDLE").part-001-of-???" 2>/dev/null | head -n 1)
        [ -n "$first" ] || die "$BUNDLE does not exist" "nor $BUNDLE.part-001-of-…" "name the bundle's file"
        count=${first##*-}
        parts='' number=1 last=$(echo "$count" | sed 's/^0*//')
        while [ "$number" -le "$last" ]; do
            part=$BUNDLE.part-$(printf %03d "$number")-of-$count
            [ -f "$part" ] || die "part $number of $last is missing" "$part does not exist" "copy it here"
            parts="$parts $part"
            number=$((number + 1))
        done
    fi
    if [ -f "$BUNDLE.sha256" ]; then
        sums=$(cd "$(dirname "$BUNDLE")" && sha256sum --quiet --strict -c "$(basename "$BUNDLE").sha256" 2>&1) ||
            die "the bundle is truncated or was changed" "$(printf '%s' "$sums" | tr '\n' ' ')" "copy it again"
    fi
    # shellcheck disable=SC2086 # a list of files
    size_mib=$(($(cat $parts | wc -c) / 1048576))
    needed=$((1500 + size_mib))
fi
existing=$WORK
while [ ! -d "$existing" ]; do existing=$(dirname "$existing"); done
free=$(df -Pm "$existing" | awk 'NR == 2 {print $4}')
[ "$free" -ge "$needed" ] ||
    die "$existing has $free MiB free, wanted are $needed" "the bundle and what K3s unpacks need it" "free space, or name another --work"

PHASES=''
phase() { # phase NAME START_CENTISECONDS
    PHASES="$PHASES$1 $(($(uptime_cs) - $2))
"
}
status=1
# shellcheck disable=SC2317 # called by the trap
finish() {
    code=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ -n "$KEEP" ] && [ "$status" -eq 0 ]; then exit 0; fi
    end_node
    [ "$code" -ne 0 ] || exit "$status"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' HUP INT TERM
mkdir -p "$WORK"
chmod 0755 "$WORK"
cgroups_of_pods >"$WORK/cgroups-before"
[ -e /run/mount ] || : >"$WORK/no-run-mount"

begun=$(uptime_cs)
start=$begun
if [ -n "$parts" ]; then
    mkdir "$WORK/bundle"
    # shellcheck disable=SC2086 # a list of files
    problem=$(cat $parts | tar -xf - -C "$WORK/bundle" --no-same-owner 2>&1) ||
        die "the bundle is cut off, or no bundle" "$problem" "copy it again, and compare with its .sha256 file"
    directory=$WORK/bundle
else
    directory=$(cd "$BUNDLE" && pwd)
fi
changed=$(cd "$directory" && sha256sum --quiet --strict -c SHA256SUMS 2>&1) ||
    die "the bundle was changed" "$(printf '%s' "$changed" | head -n 3 | tr '\n' ' ')" "copy it again"
[ -f "$directory/prove/settings" ] || die "the bundle is not for this" "it has no prove/settings" "make one of a fleet with GPUs"
phase 'unpack and verify' "$start"
# shellcheck source=/dev/null
. "$directory/prove/settings"
case $(uname -m) in
x86_64) machine=amd64 ;;
aarch64) machine=arm64 ;;
*) machine=$(uname -m) ;;
esac
[ "$machine" = "$ARCHITECTURE" ] || die "the bundle is for $ARCHITECTURE, this machine is $machine" "uname -m prints $(uname -m)" "make one with --architecture $machine"
[ "${DRIVER%%.*}" -ge "$DRIVER_MINIMUM" ] ||
    die "driver $DRIVER is too old: the check's image wants $DRIVER_MINIMUM or newer" "$smi says so" "install a newer driver, or bundle an image of the check for this one"

# --- the node
# What the node's first process needs to know. Its environment is otherwise empty: no variable of the caller counts.
cat >"$WORK/parameters" <<PARAMETERS
BUNDLE='$directory'
GPUS=$GPUS
DRIVER=$DRIVER
SMI='$smi'
KEEP=$KEEP
PARAMETERS
# Should this script be killed without a chance to end the node, `--end` does.
setsid env -i PATH="$PATH" LC_ALL=C HOME=/root unshare --mount --net --pid --ipc --uts --fork \
    sh "$directory/prove/node.sh" edge-gpu-prove "$WORK" >"$WORK/log" 2>&1 </dev/null &
node=$!
first_process() { ps -o pid= --ppid "$node" 2>/dev/null | awk '{print $1; exit}'; }
shown=0
show_log() {
    lines=$(wc -l <"$WORK/log")
    [ "$lines" -le "$shown" ] || sed -n "$((shown + 1)),${lines}p" "$WORK/log"
    shown=$lines
}
waited=0
while [ ! -f "$WORK/done" ]; do
    if [ ! -s "$WORK/pid" ]; then first_process >"$WORK/pid" || true; fi
    show_log
    if ! kill -0 "$node" 2>/dev/null && [ ! -f "$WORK/done" ]; then break; fi
    # Each step has a limit of its own; this is for a bug in them.
    [ "$waited" -lt 9000 ] || break
    sleep 0.1
    waited=$((waited + 1))
done
show_log
[ -f "$WORK/done" ] && [ "$(cat "$WORK/done")" = 0 ] || exit 1
PHASES="$PHASES$(cat "$WORK/phases")
"
kernel=$(grep -c '^PASS ' "$WORK/check" || true)
verdict=passed
if [ "$kernel" -ne "$GPUS" ]; then
    verdict="not proven: the CUDA kernel passed on $kernel of $GPUS GPUs"
    [ -z "$WITHOUT_KERNEL" ] || [ "$kernel" -ne 0 ] || verdict="passed without a CUDA kernel"
fi
seen=$(tail -n 1 "$WORK/check")
total=$(($(uptime_cs) - begun))

# --- the result
escape() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "$PRETTY_NAME")
{
    printf '{\n  "verdict": "%s",\n  "date": "%s",\n' "$(escape "$verdict")" "$(date -u +%Y-%m-%d)"
    printf '  "gpus": ['
    comma=''
    printf '%s\n' "$gpus" | while IFS=, read -r uuid _ memory name; do
        printf '%s\n    {"uuid": "%s", "name": "%s", "memory": "%s"}' "$comma" "$uuid" "$(escape "${name# }")" "${memory# }"
        comma=,
    done
    printf '\n  ],\n  "gpus_seen_by_the_check": "%s",\n  "kernel": "%s",\n' "$(escape "$seen")" "$(escape "$(grep '^PASS ' "$WORK/check" | paste -sd';')")"
    printf '  "driver": "%s",\n  "system": "%s",\n' "$DRIVER" "$(escape "$system")"
    printf '  "k3s": "%s",\n  "container_toolkit": "%s",\n  "device_plugin": "%s",\n  "check_image": "%s",\n' \
        "$K3S_VERSION" "$TOOLKIT_VERSION" "$PLUGIN_VERSION" "$CHECK_IMAGE"
    printf '  "bundle_mib": %s,\n  "bundle_manifest_sha256": "%s",\n  "facts": [' "$size_mib" \
        "$(sha256sum "$directory/manifest.json" | cut -d' ' -f1)"
    comma=''
    while read -r fact; do
        printf '%s\n    "%s"' "$comma" "$(escape "$fact")"
        comma=,
    done <"$WORK/facts"
    printf '\n  ],\n'
    printf '  "seconds": {'
    comma=''
    printf '%s' "$PHASES" | while read -r line; do
        [ -n "$line" ] || continue
        printf '%s\n    "%s": %s' "$comma" "${line% *}" "$(awk -v c="${line##* }" 'BEGIN {printf "%.2f", c / 100}')"
        comma=,
    done
    printf ',\n    "in all": %s\n  }\n}\n' "$(awk -v c="$total" 'BEGIN {printf "%.2f", c / 100}')"
} >"$WORK/result.json"

printf '\n%-28s %s\n' PHASE SECONDS
printf '%-28s %s\n' ---------------------------- -------
printf '%sin all %s\n' "$PHASES" "$total" | while read -r line; do
    [ -z "$line" ] || printf '%-28s %7s\n' "${line% *}" "$(awk -v c="${line##* }" 'BEGIN {printf "%.2f", c / 100}')"
done
printf '\nGPU                                       NAME\n'
printf '%s\n' "$gpus" | while IFS=, read -r uuid _ memory name; do printf '%s  %s,%s\n' "$uuid" "${name# }" "$memory"; done
printf '\ndriver %s, K3s %s, container toolkit %s, device plugin %s\n' "$DRIVER" "$K3S_VERSION" "$TOOLKIT_VERSION" "$PLUGIN_VERSION"
grep '^PASS ' "$WORK/check" || true
printf 'VERDICT: %s\n\n' "$verdict"
cat "$WORK/result.json"
[ -z "$JSON" ] || cp "$WORK/result.json" "$JSON"
case $verdict in passed*) status=0 ;; *) status=1 ;; esac
if [ -n "$KEEP" ] && [ "$status" -eq 0 ]; then
    pid=$(cat "$WORK/pid")
    printf '\nThe node runs on. Enter it:  nsenter -t %s -m -n -p -i -u -r -w k3s kubectl get nodes\nEnd it:  sh %s --end --work %s\n' "$pid" "$0" "$WORK"
fi
exit "$status"
