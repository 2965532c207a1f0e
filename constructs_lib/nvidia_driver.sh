# Exits 0 when the NVIDIA driver that is installed here works and sees the expected GPUs; changes nothing.
: "${NODE:?}" "${GPUS:?}"

command -v nvidia-smi >/dev/null ||
    fail "nvidia-smi is missing" "the NVIDIA driver's user-space tools are not installed" \
        "install the driver, on Ubuntu: ubuntu-drivers install --gpgpu nvidia:580-server && apt-get install nvidia-utils-580-server, then reboot"

if ! seen=$(timeout 60 nvidia-smi --query-gpu=driver_version,name --format=csv,noheader 2>&1); then
    case $seen in
    *"version mismatch"*)
        fail "the loaded NVIDIA module and its libraries are of different versions" "$seen" "reboot the machine"
        ;;
    *) fail "nvidia-smi failed" "$seen" "look at dmesg and /proc/driver/nvidia/version; is nouveau loaded, or a reboot pending?" ;;
    esac
fi

count=$(printf '%s\n' "$seen" | grep -c .)
[ "$count" -ge "$GPUS" ] ||
    fail "expected $GPUS GPUs, seen $count" "nvidia-smi lists: $seen" \
        "look for lost GPUs in dmesg (NVRM: Xid), or set the node's gpus in the fleet file"
printf '%s\n' "$seen" | while IFS= read -r gpu; do say "driver $gpu"; done
