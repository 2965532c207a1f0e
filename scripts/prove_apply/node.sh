#!/bin/sh
# The node's first process: gives the unpacked root file system what a machine has (kernel file systems, devices, the
# driver) and becomes its systemd. Runs in namespaces of its own. Argument: the folder of this run.
set -eu
umask 022
RUN=$1
ROOT=$RUN/root
# shellcheck source=/dev/null
. "$RUN/parameters"

die() {
    printf 'ERROR prove-apply: %s\n  cause: %s\n  fix: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

# First into the node's cgroup, then see that as the root of all: no other process may be in it, or systemd could not
# hand its controllers on.
if [ "${2:-}" != inside ]; then
    while IFS= read -r group; do echo 0 >"$group/cgroup.procs"; done <"$RUN/cgroups"
    exec unshare --cgroup sh "$0" "$RUN" inside
fi

mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs sysfs "$ROOT/sys"

# --- cgroups, as this process's namespace shows them
mount -t tmpfs -o mode=755 tmpfs "$ROOT/sys/fs/cgroup"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount "$ROOT/sys/fs/cgroup"
    mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
else
    while IFS=: read -r _ controllers _; do
        case $controllers in
        '') target=unified ;;
        name=*) target=${controllers#name=} ;;
        *) target=$controllers ;;
        esac
        mkdir "$ROOT/sys/fs/cgroup/$target"
        case $controllers in
        '') mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup/$target" ;;
        name=*) mount -t cgroup -o "none,$controllers" cgroup "$ROOT/sys/fs/cgroup/$target" ;;
        *)
            mount -t cgroup -o "$controllers" cgroup "$ROOT/sys/fs/cgroup/$target"
            for one in $(echo "$controllers" | tr , ' '); do
                [ "$one" = "$target" ] || ln -s "$target" "$ROOT/sys/fs/cgroup/$one"
            done
            ;;
        esac
    done </proc/self/cgroup
fi

# --- devices
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
while read -r name mode major minor; do
    mknod -m "$mode" "$ROOT/dev/$name" c "$major" "$minor"
done <<'DEVICES'
null 666 1 3
zero 666 1 5
full 666 1 7
random 666 1 8
urandom 666 1 9
kmsg 644 1 11
tty 666 5 0
DEVICES
mkdir "$ROOT/dev/pts" "$ROOT/dev/shm" "$ROOT/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$ROOT/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
mount -t mqueue mqueue "$ROOT/dev/mqueue"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
for stream in 'stdin 0' 'stdout 1' 'stderr 2'; do ln -s "/proc/self/fd/${stream#* }" "$ROOT/dev/${stream% *}"; done
for device in /dev/nvidia*; do [ ! -e "$device" ] || cp -a "$device" "$ROOT/dev/"; done
for folder in run tmp; do mount -t tmpfs -o mode=0755,exec tmpfs "$ROOT/$folder"; done
chmod 1777 "$ROOT/tmp"

# --- the driver, where its packages put it: the machine's own files, bound in
if [ -n "$DRIVER_LIBRARIES" ]; then
    target=$ROOT/usr/lib/$(uname -m)-linux-gnu
    for file in "$DRIVER_LIBRARIES"/lib*nv*.so* "$DRIVER_LIBRARIES"/lib*cuda*.so*; do
        [ -e "$file" ] || continue
        name=${file##*/}
        [ ! -e "$target/$name" ] || continue
        if [ -L "$file" ]; then
            ln -s "$(basename "$(readlink -f "$file")")" "$target/$name"
        else
            : >"$target/$name"
            mount --bind "$file" "$target/$name"
        fi
    done
    for program in nvidia-smi nvidia-debugdump nvidia-persistenced nvidia-cuda-mps-control nvidia-cuda-mps-server; do
        file=$DRIVER_PROGRAMS/$program
        [ -e "$file" ] || continue
        : >"$ROOT/usr/bin/$program"
        chmod 0755 "$ROOT/usr/bin/$program"
        mount --bind "$file" "$ROOT/usr/bin/$program"
    done
    chroot "$ROOT" ldconfig || die "the loader's cache cannot be made" "ldconfig failed in $ROOT" "see its lines above"
fi

# --- its network: eth0 is one end of a pair whose other end Terraform's machine has
echo "$NODE" >"$ROOT/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$NODE" >"$ROOT/etc/hosts"
echo "$NODE" >/proc/sys/kernel/hostname
chroot "$ROOT" ip link set lo up
chroot "$ROOT" ip address add "$NODE_ADDRESS/24" dev eth0
chroot "$ROOT" ip link set eth0 up
# It leads to nothing: K3s finds the node's address by it.
chroot "$ROOT" ip route add default via "$OPERATOR_ADDRESS"

mkdir -p "$ROOT/run/old-root"
cd "$ROOT"
pivot_root . run/old-root
cd /
umount -l /run/old-root
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=prove-apply /usr/lib/edge-gpu-lab/init.sh
