# Preflight's look at the machine itself.

DATA_FOLDER=/var/lib/rancher

node_findings() {
    look_at_system
    look_at_tools
    look_at_space
    look_at_memory
    look_at_clock
    look_at_names
    look_at_kernel
    look_at_cgroups
    look_at_default_route
}

# os_release KEY: one value of /etc/os-release.
os_release() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d '"'; }

machine_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
    esac
}

system_in_words() { echo "$(os_release PRETTY_NAME), $(machine_architecture), Linux $(uname -r)"; }

look_at_system() {
    check architecture
    [ "$(machine_architecture)" = "$ARCHITECTURE" ] ||
        finding error "the machine is $(machine_architecture), the fleet file says $ARCHITECTURE" \
            "uname -m prints $(uname -m)" "set the node's architecture in the fleet file; allowed are amd64 and arm64"
    checked "$ARCHITECTURE"

    check system
    system="$(os_release ID) $(os_release VERSION_ID)"
    case $system in
    "ubuntu 22.04" | "ubuntu 24.04" | "ubuntu 26.04" | "debian 12" | "debian 13") ;;
    *) finding warning "$(os_release PRETTY_NAME) is not among the systems this is made for" "/etc/os-release says $system" \
        "use Ubuntu 22.04, 24.04 or 26.04, or Debian 12 or 13; others may work" ;;
    esac
    checked "$(os_release PRETTY_NAME)"

    check init
    [ "$SUPERVISOR" != systemd ] || [ -d /run/systemd/system ] ||
        finding error "systemd does not run this machine" "/run/systemd/system is missing" \
            "use a machine whose init is systemd"
    checked systemd
}

look_at_tools() {
    check tools
    for tool in awk cmp curl df mount sed sha256sum tar timeout; do
        command -v "$tool" >/dev/null ||
            finding error "$tool is missing" "no $tool in $PATH" \
                "install it: apt-get install coreutils curl diffutils mawk mount sed tar util-linux"
    done
    checked "all there"
}

# free_mib FOLDER: MiB that are free where the folder lies, or would lie.
free_mib() {
    folder=$1
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    df -Pm "$folder" | awk 'NR == 2 {print $4}'
}

look_at_space() {
    check disk
    free=$(free_mib "$DATA_FOLDER")
    [ "$free" -ge "$MINIMUM_FREE_MIB" ] ||
        finding error "$free MiB are free for $DATA_FOLDER, wanted are $MINIMUM_FREE_MIB" \
            "the file system is too small or too full" "free space there or mount a larger disk at $DATA_FOLDER"
    # K3s's binary goes there; a read-only /usr is common on appliances.
    for folder in /usr/local/bin /etc; do
        [ "$(free_mib "$folder")" -ge 200 ] ||
            finding error "$(free_mib "$folder") MiB are free for $folder, wanted are 200" \
                "the file system is too small or too full" "free space there"
    done
    checked "$free MiB free"
}

look_at_memory() {
    check memory
    memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    [ "$memory" -ge "$MINIMUM_MEMORY_MIB" ] ||
        finding error "the machine has $memory MiB of memory, wanted are $MINIMUM_MEMORY_MIB" \
            "MemTotal in /proc/meminfo" "use a larger machine"
    checked "$memory MiB"
}

look_at_clock() {
    check clock
    now=$(date +%s)
    fact time "$now"
    if ! operator=$(date -d "$OPERATOR_TIME" +%s 2>/dev/null) || [ -z "$OPERATOR_TIME" ]; then
        checked "not compared: no operator's time was given"
        return 0
    fi
    skew=$((now - operator))
    if [ "$skew" -lt 0 ]; then how="$((-skew)) s behind"; else how="$skew s ahead of"; fi
    fix="set the clock and keep it set: timedatectl set-ntp true; then look at timedatectl timesync-status"
    if [ "${skew#-}" -gt "$MAXIMUM_CLOCK_SKEW_SECONDS" ]; then
        finding error "the clock is $how the operator's, allowed are $MAXIMUM_CLOCK_SKEW_SECONDS s" \
            "this machine says $(date -u +%Y-%m-%dT%H:%M:%SZ), the operator's $OPERATOR_TIME: one of the two is wrong" "$fix"
    elif [ "${skew#-}" -gt 30 ]; then
        finding warning "the clock is $how the operator's" "no time service keeps one of the two" "$fix"
    fi
    checked "$how the operator's"
}

look_at_names() {
    check host-name
    name=$(tr '[:upper:]' '[:lower:]' </proc/sys/kernel/hostname)
    fact host_name "$name"
    for other in $OTHER_NODES; do
        [ "$name" != "$other" ] ||
            finding error "this machine's host name is $name, which is another node of the fleet" \
                "it was cloned from that one, or two addresses in the fleet file are swapped" \
                "hostnamectl set-hostname $NODE, or correct the addresses"
    done
    checked "$name"

    check machine-id
    id=$(cat /etc/machine-id 2>/dev/null || true)
    fact machine_id "$id"
    printf '%s' "$id" | grep -Eqx '[0-9a-f]{32}' ||
        finding error "the machine has no machine id" "/etc/machine-id holds '$id'" \
            "systemd-machine-id-setup, then reboot"
    checked "$id"
}

# kernel_has MODULE FILE...: it is loaded, built in or can be loaded, or a file that only it makes is there.
kernel_has() {
    module=$1
    shift
    for file in "/sys/module/$module" "$@"; do [ ! -e "$file" ] || return 0; done
    ! [ -d "/lib/modules/$(uname -r)" ] || modprobe -n -q "$module" 2>/dev/null
}

look_at_kernel() {
    check kernel
    grep -qw overlay /proc/filesystems || kernel_has overlay ||
        finding error "the kernel has no overlay file system" "neither loaded nor in /lib/modules/$(uname -r)" \
            "use the distribution's own kernel; containerd cannot work without"
    kernel_has nf_conntrack /proc/sys/net/netfilter ||
        finding error "the kernel has no connection tracking" "no nf_conntrack in /lib/modules/$(uname -r)" \
            "use the distribution's own kernel; kube-proxy cannot work without"
    kernel_has br_netfilter /proc/sys/net/bridge ||
        finding warning "the kernel has no br_netfilter" "not in /lib/modules/$(uname -r)" \
            "install the kernel's extra modules (linux-modules-extra-$(uname -r)); services may not reach pods without"
    kernel_has vxlan ||
        finding warning "the kernel has no vxlan" "not in /lib/modules/$(uname -r)" \
            "install the kernel's extra modules (linux-modules-extra-$(uname -r)), or use another flannel backend"
    kernel_has xt_comment ||
        finding warning "the kernel has no xt_comment" "not in /lib/modules/$(uname -r); known of Jetson kernels" \
            "update JetPack, or build the module; kube-proxy's rules need it"
    checked "Linux $(uname -r)"
}

look_at_cgroups() {
    check cgroups
    wanted="cpu cpuset memory pids"
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        generation=2
        offered=$(cat /sys/fs/cgroup/cgroup.controllers)
    else
        generation=1
        offered=$(awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups | tr '\n' ' ')
    fi
    for controller in $wanted; do
        case " $offered " in
        *" $controller "*) ;;
        *) finding error "the kernel offers no cgroup controller $controller" "seen are: $offered" \
            "add cgroup_enable=$controller to the kernel's command line and reboot" ;;
        esac
    done
    checked "version $generation"
}

has_default_route() {
    awk '$2 == "00000000" {found = 1} END {exit !found}' /proc/net/route ||
        awk '$1 ~ /^0+$/ && $2 == "00" && $NF != "lo" {found = 1} END {exit !found}' /proc/net/ipv6_route 2>/dev/null
}

look_at_default_route() {
    check default-route
    # A proof's node has no network but its own, and its address is given to it.
    [ "$SUPERVISOR" != systemd ] || has_default_route ||
        finding error "the machine has no default route" \
            "K3s finds its address by it and refuses to start without one, also where nothing is to be reached" \
            "give it one, if need be to an unused address of its own network: ip route add default via ADDRESS"
    checked "there is one"
}
