# Which NVIDIA driver is loaded, which is installed, and what that means.
# include: shared_jetson.sh

# version_in TEXT: the first word of it that is a driver version.
version_in() { printf '%s\n' "$1" | grep -Eo '(^|[^0-9.])[0-9]{3,4}\.[0-9]+(\.[0-9]+)?[^[:space:],]*' | head -n 1 | sed 's/^[^0-9]*//'; }

# look_at_driver: sets LOADED, MODULE, LIBRARY and OTHER_KERNEL (versions, or empty) and SMI, SMI_CODE.
look_at_driver() {
    LOADED=$(version_in "$(head -n 1 /proc/driver/nvidia/version 2>/dev/null)")
    MODULE=$(modinfo -F version nvidia 2>/dev/null || true)
    library=$(ldconfig -p 2>/dev/null | awk '$1 == "libnvidia-ml.so.1" {print $NF; exit}')
    LIBRARY=
    [ -z "$library" ] || LIBRARY=$(version_in "$(readlink -f "$library" | sed 's/^.*\.so\.//')")
    OTHER_KERNEL=
    if [ -z "$MODULE" ]; then
        OTHER_KERNEL=$(find /lib/modules -name 'nvidia.ko*' 2>/dev/null | cut -d/ -f4 | grep -vxF "$(uname -r)" | sort -V | tail -n 1)
    fi
    SMI_CODE=0
    if command -v nvidia-smi >/dev/null; then
        # As root it loads the module where that was not done yet.
        SMI=$(timeout 60 nvidia-smi --query-gpu=driver_version,name --format=csv,noheader 2>&1) || SMI_CODE=$?
    else
        SMI='' SMI_CODE=127
    fi
}

# judge_driver: sets STATE to ready, absent, reboot, mismatch or broken, and WHY.
judge_driver() {
    if [ "$SMI_CODE" -eq 0 ]; then
        STATE=ready
        [ -n "$LOADED" ] || LOADED=$(version_in "$SMI")
        WHY="$LOADED is loaded"
    elif [ "$SMI_CODE" -eq 127 ] && [ -z "$LOADED$MODULE$LIBRARY$OTHER_KERNEL" ]; then
        STATE=absent
        WHY="neither module nor libraries are installed"
    elif [ -n "$MODULE" ] && [ -n "$LIBRARY" ] && [ "$MODULE" != "$LIBRARY" ]; then
        STATE=mismatch
        WHY="the installed module is $MODULE, the installed libraries are $LIBRARY"
    elif [ -n "$LOADED" ] && [ -n "$MODULE$LIBRARY" ] && [ "$LOADED" != "${MODULE:-$LIBRARY}" ]; then
        STATE=reboot
        WHY="${MODULE:-$LIBRARY} is installed, $LOADED is loaded until the next boot"
    elif [ -z "$LOADED" ] && [ -n "$OTHER_KERNEL" ]; then
        STATE=reboot
        WHY="the module is installed for the kernel $OTHER_KERNEL, $(uname -r) is running"
    elif [ -z "$LOADED" ] && [ -n "$MODULE" ] && [ -d /sys/module/nouveau ]; then
        STATE=reboot
        WHY="$MODULE is installed, and nouveau holds the GPUs until the next boot"
    else
        STATE=broken
        WHY="nvidia-smi ended with exit code $SMI_CODE: $(printf '%s' "$SMI" | tr '\n' ' ')"
    fi
}

# at_least VERSION MINIMUM
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$(printf '%s' "$1" | grep -Eo '^[0-9.]+')" | sort -V | head -n 1)" = "$2" ]
}

# demand_driver: ends the step unless the loaded driver works, is new enough and sees the GPUs.
demand_driver() {
    case $STATE in
    ready) ;;
    absent)
        fail "nvidia-smi is missing" "the NVIDIA driver's user-space tools are not installed: $WHY" \
            "set driver.mode in the fleet file to ubuntu or cuda-repo, or install it: docs/bootstrap.md"
        ;;
    reboot) fail "the driver waits for a reboot" "$WHY" "set reboot.allowed in the fleet file, or reboot $NODE; then deploy again" ;;
    mismatch)
        fail "the driver's module and its libraries are of different versions" "$WHY; a reboot does not help" \
            "install both from one source: apt list --installed '*nvidia*', dkms status"
        ;;
    *)
        fail "nvidia-smi failed" "$WHY" \
            "look at dmesg | grep -i -e nvrm -e nvidia, /proc/driver/nvidia/version, mokutil --sb-state, lsmod | grep nouveau"
        ;;
    esac
    at_least "$LOADED" "$MINIMUM" ||
        fail "the driver is too old: $LOADED is loaded, wanted is $MINIMUM or newer" "$MINIMUM_NEEDED_BY needs it" \
            "install a newer branch: driver in the fleet file; or use images that need less"
    count=$(printf '%s\n' "$SMI" | grep -c .)
    [ "$count" -ge "$GPUS" ] ||
        fail "expected $GPUS GPUs, seen $count" "nvidia-smi lists: $SMI" \
            "look for lost GPUs in dmesg (NVRM: Xid), or set the node's gpus in the fleet file"
    printf '%s\n' "$SMI" | while IFS= read -r gpu; do say "driver $gpu"; done
}
