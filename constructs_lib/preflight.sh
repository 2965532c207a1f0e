# Exits 0 when this machine can become the wanted node; changes nothing. All findings are printed, each with its fix.
: "${NODE:?}" "${ROLE:?}" "${ARCHITECTURE:?}" "${MINIMUM_FREE_MIB:?}" "${MINIMUM_MEMORY_MIB:?}"
# Who runs K3s: systemd, or for a proof on a machine without it, a stand-in that lasts as long as the proof.
: "${SUPERVISOR:=systemd}"

FINDINGS=0
finding() {
    FINDINGS=$((FINDINGS + 1))
    printf 'ERROR node=%s step=%s: %s\n  cause: %s\n  fix: %s\n' "$NODE" "$STEP" "$1" "$2" "$3" >&2
}

case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) architecture=$(uname -m) ;;
esac
[ "$architecture" = "$ARCHITECTURE" ] ||
    finding "the machine is $architecture, the fleet file says $ARCHITECTURE" \
        "uname -m prints $(uname -m)" "set the node's architecture in the fleet file; allowed are amd64 and arm64"

[ "$SUPERVISOR" != systemd ] || [ -d /run/systemd/system ] ||
    finding "systemd does not run this machine" "/run/systemd/system is missing" \
        "use a machine whose init is systemd (Ubuntu 22.04, 24.04, 26.04, Debian 12)"

for tool in curl sha256sum tar mount; do
    command -v "$tool" >/dev/null ||
        finding "$tool is missing" "no $tool in $PATH" "install it: apt-get install curl coreutils tar mount"
done

# K3s finds its own address by the default route; it need not lead anywhere.
default_route() {
    awk '$2 == "00000000" {found = 1} END {exit !found}' /proc/net/route ||
        awk '$1 ~ /^0+$/ && $2 == "00" && $NF != "lo" {found = 1} END {exit !found}' /proc/net/ipv6_route 2>/dev/null
}
[ "$SUPERVISOR" != systemd ] || default_route ||
    finding "the machine has no default route" "K3s refuses to start without one, also where nothing is to be reached" \
        "give it one, if need be to an unused address of its own network: ip route add default via ADDRESS"

# The first folder that exists decides which file system K3s's data will lie on.
data=/var/lib/rancher
[ -d "$data" ] || data=/var/lib
free=$(df -Pm "$data" | awk 'NR == 2 {print $4}')
[ "$free" -ge "$MINIMUM_FREE_MIB" ] ||
    finding "$data has $free MiB free, wanted are $MINIMUM_FREE_MIB" "the file system is too small or too full" \
        "free space there or mount a larger disk at /var/lib/rancher"

memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
[ "$memory" -ge "$MINIMUM_MEMORY_MIB" ] ||
    finding "the machine has $memory MiB of memory, wanted are $MINIMUM_MEMORY_MIB" "MemTotal in /proc/meminfo" \
        "use a larger machine"

case $ROLE in
server) unit=k3s other=k3s-agent ;;
*) unit=k3s-agent other=k3s ;;
esac
for installed in $unit $other; do
    file=/etc/systemd/system/$installed.service
    [ -e "$file" ] || continue
    grep -q '^# Managed by edge-gpu' "$file" ||
        finding "K3s is here already, installed by something else" "$file is not ours" \
            "if it may go: /usr/local/bin/k3s-uninstall.sh or k3s-agent-uninstall.sh, then deploy again"
    [ "$installed" = "$unit" ] ||
        finding "the machine is a K3s node of the other role" "$file exists, the fleet file says $ROLE" \
            "take the node out of the fleet file, deploy, add it with its new role, deploy"
done

for template in config.toml.tmpl config-v3.toml.tmpl; do
    file=/var/lib/rancher/k3s/agent/etc/containerd/$template
    [ ! -e "$file" ] ||
        finding "a containerd template overrides the runtimes that K3s finds" "$file exists" \
            "remove it: K3s finds the nvidia runtime by itself"
done

[ "$FINDINGS" -eq 0 ] || exit 1
# shellcheck source=/dev/null
say "ok: $architecture, $free MiB free, $memory MiB memory, $(. /etc/os-release && echo "$PRETTY_NAME")"
