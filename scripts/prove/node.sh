#!/bin/sh
# The node's first process: puts a copy-on-write view of the machine's files in place of its root, runs the proof there,
# and ends all of it by ending. Arguments: a mark that the process is known by, and the work folder.
set -eu
umask 022
WORK=$2
# shellcheck source=/dev/null
. "$WORK/parameters"

die() {
    printf 'ERROR prove-gpu: %s\n  cause: %s\n  fix: %s\n' "$1" "$2" "$3" >&2
    echo 1 >"$WORK/done"
    exit 1
}
start=$(awk '{printf "%d\n", $1 * 100}' /proc/uptime)

mount --make-rprivate /
ROOT=$WORK/root
number=0
# over SOURCE TARGET: what is written to TARGET lands in the work folder; SOURCE stays as it is.
over() {
    number=$((number + 1))
    mkdir -p "$WORK/upper/$number" "$WORK/overlay/$number"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$WORK/upper/$number,workdir=$WORK/overlay/$number" "$2" 2>&1
}
mkdir -p "$ROOT"
problem=$(over / "$ROOT") ||
    die "no copy-on-write view of / can be made" "$problem" "name a --work folder on ext4, xfs or tmpfs, not on an overlay or a network"
# number was counted in a subshell.
number=1

# Every other file system of the machine: the kernel's as they are, those with files copy-on-write or read-only.
done_below=''
cp /proc/self/mountinfo "$WORK/mounts"
while read -r _ _ _ _ point _ rest; do
    case $point in / | "$WORK" | "$WORK"/*) continue ;; esac
    fs=${rest#*- }
    fs=${fs%% *}
    skip=''
    for below in $done_below; do case $point/ in "$below"/*) skip=1 ;; esac; done
    [ -z "$skip" ] || continue
    # A mount point that another mount hides, or with characters that mountinfo escapes.
    if [ ! -e "$point" ] || [ ! -e "$ROOT$point" ]; then continue; fi
    case $fs in
    proc) continue ;;
    tmpfs) case $point in /run | /tmp | /run/* | /tmp/*) continue ;; esac ;;
    esac
    case $fs in
    sysfs | devtmpfs | devpts | mqueue | cgroup | cgroup2 | debugfs | tracefs | securityfs | bpf | hugetlbfs | fusectl | configfs | pstore | efivarfs | autofs | binfmt_misc)
        mount --rbind "$point" "$ROOT$point" && done_below="$done_below $point"
        ;;
    tmpfs)
        # /dev of a container, and the like.
        mount --rbind "$point" "$ROOT$point" && done_below="$done_below $point"
        ;;
    *)
        if [ -d "$point" ] && over "$point" "$ROOT$point" >/dev/null; then continue; fi
        mount --bind "$point" "$ROOT$point"
        mount -o remount,ro,bind "$ROOT$point"
        done_below="$done_below $point"
        ;;
    esac
done <"$WORK/mounts"

# What overlays cannot hold (K3s makes overlays itself), what must not be shared, and what the node finds at fixed places.
for folder in /var/lib/rancher /var/lib/kubelet /var/log/pods /var/log/containers; do
    mkdir -p "$WORK/own$folder" "$ROOT$folder"
    mount --bind "$WORK/own$folder" "$ROOT$folder"
done
for folder in /run /tmp; do
    mkdir -p "$ROOT$folder"
    mount -t tmpfs -o mode=0755 tmpfs "$ROOT$folder"
done
chmod 1777 "$ROOT/tmp"
mkdir -p "$ROOT/run/lock" "$ROOT/var/lib/edge-gpu/bundle" "$ROOT/run/prove-gpu"
for socket in /run/nvidia-persistenced /run/nvidia-fabricmanager; do
    [ ! -d "$socket" ] || { mkdir -p "$ROOT$socket" && mount --bind "$socket" "$ROOT$socket"; }
done
mount --bind "$BUNDLE" "$ROOT/var/lib/edge-gpu/bundle"
mount --bind "$WORK" "$ROOT/run/prove-gpu"
mount -t proc proc "$ROOT/proc"
# The kubelet sets these for the whole machine. It finds its own wishes here, and writes to files.
while read -r name value; do
    [ -e "$ROOT/proc/sys/$name" ] || continue
    answer=$ROOT/run/sysctl-$(echo "$name" | tr / .)
    echo "$value" >"$answer"
    mount --bind "$answer" "$ROOT/proc/sys/$name"
done <<'SYSCTLS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SYSCTLS

mkdir -p "$ROOT/run/old-root"
cd "$ROOT"
pivot_root . run/old-root
cd /
umount -l /run/old-root
echo prove-gpu >/proc/sys/kernel/hostname
echo "throw-away root $(($(awk '{printf "%d\n", $1 * 100}' /proc/uptime) - start))" >/run/prove-gpu/phases

# This process only waits, for the orphans of the namespace too; whatever the proof does, it ends by ending itself.
sh /var/lib/edge-gpu/bundle/prove/proof.sh &
proof=$!
code=0
wait "$proof" || code=$?
echo "$code" >/run/prove-gpu/done.new
mv /run/prove-gpu/done.new /run/prove-gpu/done
if [ -n "$KEEP" ] && [ "$code" -eq 0 ]; then
    while :; do
        sleep 3600 &
        wait $!
    done
fi
# The caller reads the result first.
sleep 5
