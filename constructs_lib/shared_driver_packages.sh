# Installs the driver by apt from one of two sources, or from what a bundle brought, and holds it.

# choose_source: with packages of a bundle here, apt is given them alone. Their bytes were verified with the bundle.
SOURCE_OPTIONS=
choose_source() {
    [ -n "$PACKAGE_FOLDER" ] || return 0
    if [ ! -f "$PACKAGE_FOLDER/Packages" ]; then
        say "the bundle brings no driver packages: this machine's own sources are asked"
        return 0
    fi
    say "driver packages come from $PACKAGE_FOLDER"
    echo "deb [trusted=yes] file:$PACKAGE_FOLDER ./" >/run/edge-gpu-driver.list
    SOURCE_OPTIONS="-o Dir::Etc::sourcelist=/run/edge-gpu-driver.list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0"
}

# apt_from_source ARGUMENTS...
apt_from_source() {
    # shellcheck disable=SC2086 # a list of words
    apt $SOURCE_OPTIONS "$@"
}

# install_driver PACKAGE...
install_driver() {
    if is_installed "$@"; then
        say "driver $BRANCH is installed: $*"
        return 0
    fi
    apt_from_source update || fail "apt-get update failed" "see apt's lines above" "correct the sources it names in /etc/apt"
    say "installing $*"
    apt_from_source install --no-install-recommends --allow-change-held-packages -y "$@" >/dev/null ||
        fail "installing $* failed" "see apt's lines above" \
            "apt-cache policy $1 on this node lists what there is${SOURCE_OPTIONS:+; or make the bundle with what apt misses}"
    is_installed "$@" || fail "the driver is not there after its installation" "dpkg-query does not list all of: $*" \
        "look for pins in /etc/apt/preferences.d"
    say "installed driver $BRANCH"
    if [ -e /usr/lib/systemd/system/nvidia-persistenced.service ]; then
        # Without it the driver unloads between jobs. It cannot start before a reboot that is still to come.
        systemctl enable --quiet nvidia-persistenced || true
    fi
}

install_from_ubuntu() {
    [ "$(sed -n 's/^ID=//p' /etc/os-release | tr -d '"')" = ubuntu ] ||
        fail "driver.mode is ubuntu, and this is another system" "$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release)" \
            "set driver.mode to cuda-repo or preinstalled"
    apt_ready
    choose_source
    # 6.8.0-60-generic: the modules are made, and signed, for each flavour of Ubuntu's kernels.
    flavour=$(uname -r | sed -nE 's/^[0-9.]+-[0-9]+-//p')
    [ -n "$flavour" ] ||
        fail "Ubuntu has no driver modules for this kernel" "uname -r prints $(uname -r), which is not one of Ubuntu's" \
            "boot one of Ubuntu's kernels, or set driver.mode to cuda-repo"
    open=
    [ "$OPEN_MODULES" -eq 0 ] || open=-open
    # The modules first: without them for this kernel nothing else is of use.
    install_driver "linux-modules-nvidia-$BRANCH$open-$flavour" "nvidia-headless-no-dkms-$BRANCH$open" "nvidia-utils-$BRANCH"
    KERNEL_PATTERN="^linux-(image-|headers-|modules-extra-)?$flavour\$"
}

install_from_cuda_repository() {
    system=$(sed -n 's/^ID=//p' /etc/os-release | tr -d '"')$(sed -n 's/^VERSION_ID=//p' /etc/os-release | tr -d '."')
    case $system in
    ubuntu2[246]04 | debian1[23]) ;;
    *) fail "NVIDIA's CUDA repository is not for this system" "/etc/os-release says $system" "set driver.mode to preinstalled" ;;
    esac
    case $(uname -m) in
    x86_64) architecture=x86_64 ;;
    *) architecture=sbsa ;;
    esac
    address=$CUDA_REPOSITORY/$system/$architecture
    packages=cuda-drivers
    [ "$OPEN_MODULES" -eq 0 ] || packages=nvidia-open
    pinning=nvidia-driver-pinning-$BRANCH
    if is_installed "$pinning" "$packages"; then
        say "driver $BRANCH is installed: $pinning $packages"
        return 0
    fi
    apt_ready
    choose_source
    if [ -z "$SOURCE_OPTIONS" ]; then
        turn_off_sources 'developer\.download\.nvidia\.com/compute/cuda'
        add_repository edge-gpu-nvidia-driver "$address/3bf863cc.pub" "$CUDA_KEY_SHA256" "deb [signed-by=%KEYRING%] $address/ /"
    fi
    # Before the driver and in a call of its own: its pins count from the next call on.
    install_driver "$pinning"
    headers=linux-headers-$(uname -r)
    if ! is_installed "$headers"; then
        # The modules are built here.
        apt_from_source install --no-install-recommends -y "$headers" >/dev/null ||
            fail "the headers of the running kernel cannot be installed" "apt has no $headers" \
                "boot the distribution's newest kernel (apt-get dist-upgrade, reboot), then deploy again"
    fi
    install_driver "$packages"
}

# hold_driver: apt's own upgrades, by hand or at night, leave the driver as it is.
hold_driver() {
    command -v apt-mark >/dev/null || return 0
    pattern='^(nvidia-|libnvidia-|xserver-xorg-video-nvidia|linux-(modules|objects|signatures)-nvidia-|cuda-drivers)'
    # The container toolkit is held by its own step.
    packages=$(installed_packages "$pattern${KERNEL_PATTERN:+|$KERNEL_PATTERN}" |
        grep -Ev '^(nvidia-container-|libnvidia-container)' || true)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086 # a list of words
    hold $packages
    # Holds stop unattended-upgrades too; this stops it also from pulling in new packages of theirs.
    put 0644 /etc/apt/apt.conf.d/52edge-gpu-nvidia <<'APT_CONFIGURATION'
// Managed by edge-gpu: the driver changes with a deploy only.
Unattended-Upgrade::Package-Blacklist {
    "^nvidia-";
    "^libnvidia-";
    "^linux-(modules|objects|signatures)-nvidia-";
    "^cuda-";
};
APT_CONFIGURATION
}
