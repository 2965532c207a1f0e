# is_jetson: the driver belongs to JetPack, and no package of the PC driver may come here.
is_jetson() {
    [ -e /etc/nv_tegra_release ] || grep -aq 'nvidia,tegra' /proc/device-tree/compatible 2>/dev/null
}
