# Preflight's look at the GPUs, their driver, and the apt that installs for them.

gpu_findings() {
    look_at_apt
    look_at_apt_sources
    look_at_gpus
    look_at_nouveau
    look_at_secure_boot
}

# include: shared_jetson.sh
# include: shared_apt_sources.sh
# include: shared_lock_holder.sh

look_at_apt() {
    check apt
    if ! command -v apt-get >/dev/null; then
        finding error "this machine has no apt" "no apt-get in $PATH" \
            "GPU nodes need a system with apt: NVIDIA's container toolkit is installed by it"
        return 0
    fi
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
        pid=$(lock_holder "$file")
        [ -n "$pid" ] || continue
        finding warning "apt is at work" \
            "$file is held by process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null || echo 'already gone'))" \
            "nothing: the next steps wait for it, 300 s at most"
        break
    done
    [ -z "$(dpkg --audit 2>/dev/null)$(ls /var/lib/dpkg/updates 2>/dev/null)" ] ||
        finding warning "dpkg was interrupted" "dpkg --audit: $(dpkg --audit 2>/dev/null | head -n 3)" \
            "nothing: the next steps run dpkg --configure -a"
    checked "idle"
}

look_at_apt_sources() {
    check apt-sources
    for file in $(foreign_sources 'nvidia\.github\.io/(libnvidia-container|nvidia-docker|nvidia-container-runtime)'); do
        finding warning "an older apt source of NVIDIA's container packages" "$file names it; two with different keys stop apt" \
            "nothing: the toolkit's step turns it off"
    done
    if [ "$DRIVER_MODE" = ubuntu ]; then
        for file in $(foreign_sources 'developer\.download\.nvidia\.com/compute/cuda'); do
            finding error "driver.mode is ubuntu, and NVIDIA's CUDA repository is there too" \
                "$file names it; its driver packages would win over Ubuntu's" \
                "remove the file, or set driver.mode to cuda-repo"
        done
    fi
    checked "no other of NVIDIA's"
}

pci_gpus() {
    for device in /sys/bus/pci/devices/*; do
        [ "$(cat "$device/vendor" 2>/dev/null)" = 0x10de ] || continue
        # Display controllers: VGA and 3D.
        case $(cat "$device/class" 2>/dev/null) in 0x0300* | 0x0302*) basename "$device" ;; esac
    done
}

driver_gpus() {
    seen=$(timeout 60 nvidia-smi --query-gpu=uuid --format=csv,noheader 2>/dev/null) || seen=
    printf '%s\n' "$seen" | grep -c . || true
}

look_at_gpus() {
    check gpus
    if is_jetson; then
        checked "Jetson: its GPU is not on the PCI bus"
        return 0
    fi
    on_bus=$(pci_gpus | grep -c . || true)
    # A GPU may come another way than by PCI (WSL): what the driver sees is there.
    by_driver=$(driver_gpus)
    if [ "$on_bus" -lt "$GPUS" ] && [ "$by_driver" -lt "$GPUS" ]; then
        finding error "expected $GPUS GPUs, the PCI bus has $on_bus of NVIDIA's" \
            "the driver sees $by_driver; on the bus: $(pci_gpus | tr '\n' ' ')" \
            "look at the card's seat and power, the BIOS, PCI passthrough; or set the node's gpus in the fleet file"
    elif [ "$on_bus" -gt "$GPUS" ]; then
        finding warning "the PCI bus has $on_bus GPUs of NVIDIA's, the fleet file says $GPUS" \
            "$(pci_gpus | tr '\n' ' ')" "set the node's gpus in the fleet file; the deploy wants exactly so many offered"
    fi
    checked "on the PCI bus $on_bus, by the driver $by_driver"
}

look_at_nouveau() {
    check nouveau
    if [ -d /sys/module/nouveau ] && [ ! -e /proc/driver/nvidia/version ]; then
        case $DRIVER_MODE in
        ubuntu | cuda-repo)
            finding warning "nouveau holds the GPUs" "/sys/module/nouveau is there" \
                "the driver's packages keep it from loading; a reboot follows, see reboot in the fleet file"
            ;;
        *)
            finding error "nouveau holds the GPUs" "/sys/module/nouveau is there, and NVIDIA's module is not loaded" \
                "write 'blacklist nouveau' to /etc/modprobe.d/nouveau.conf, run update-initramfs -u, reboot"
            ;;
        esac
    fi
    checked "not loaded"
}

look_at_secure_boot() {
    check secure-boot
    state=off
    for file in /sys/firmware/efi/efivars/SecureBoot-*; do
        # The value follows four bytes of attributes.
        [ "$(od -An -tu1 -j4 -N1 "$file" 2>/dev/null | tr -d ' ')" != 1 ] || state=on
    done
    if [ "$state" = on ] && [ ! -e /proc/driver/nvidia/version ]; then
        case $DRIVER_MODE in
        ubuntu | none) ;;
        cuda-repo) finding error "Secure Boot is on, and the CUDA repository's modules are built here, unsigned" \
            "the firmware's variable SecureBoot is 1" \
            "set driver.mode to ubuntu, whose modules are signed; or enrol a key (mokutil --import), or turn Secure Boot off" ;;
        *) finding warning "Secure Boot is on, and NVIDIA's module is not loaded" "the firmware's variable SecureBoot is 1" \
            "use signed modules, as driver.mode ubuntu installs, or enrol the key they are signed with" ;;
        esac
    fi
    checked "$state"
}
