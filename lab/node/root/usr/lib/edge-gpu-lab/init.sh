#!/bin/sh
# Becomes systemd as PID 1, on a machine whose cgroups are writable and whose host's sysctls are out of reach.
set -eu

# The engine mounts the container's own cgroups read-only; systemd and the kubelet make groups below them.
awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/self/mounts | while read -r mount; do
    mount -o remount,rw,bind "$mount"
done

# Most of /proc/sys is the host's: systemd raises fs.file-max there, the kubelet sets kernel.panic. Only the network's
# settings are the node's own. What the kubelet insists on is answered by files with the values it wants to see.
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,rw,bind /proc/sys/net
answers=/run/edge-gpu-lab/sysctl
mkdir -p "$answers"
while read -r name value; do
    [ -e "/proc/sys/$name" ] || continue
    answer=$answers/$(echo "$name" | tr / .)
    echo "$value" >"$answer"
    mount --bind "$answer" "/proc/sys/$name"
done <<'SYSCTLS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SYSCTLS

# The kubelet watches the kernel's log for killed processes.
[ -e /dev/kmsg ] || mknod -m 0644 /dev/kmsg c 1 11

exec /sbin/init
