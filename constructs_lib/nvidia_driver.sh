# Exits 0 when the wanted NVIDIA driver is here, held and working; or, where a reboot may follow, waits for one.
: "${NODE:?}" "${GPUS:?}" "${MODE:?}" "${BRANCH?}" "${OPEN_MODULES:?}" "${HOLD:?}" "${MINIMUM:?}" "${MINIMUM_NEEDED_BY:?}"
: "${CUDA_REPOSITORY:?}" "${CUDA_KEY_SHA256?}" "${PACKAGE_FOLDER?}" "${REBOOT_MAY_FOLLOW:?}"
# include: shared_driver_state.sh
# include: shared_apt.sh
# include: shared_driver_packages.sh

if [ "$MODE" = none ]; then
    say "driver.mode is none: neither installed nor checked"
    exit 0
fi
if is_jetson; then
    say "Jetson: the driver belongs to JetPack ($(head -n 1 /etc/nv_tegra_release 2>/dev/null || echo 'release unknown')); nothing is installed"
    exit 0
fi

case $MODE in
ubuntu) install_from_ubuntu ;;
cuda-repo) install_from_cuda_repository ;;
esac
[ "$HOLD" -eq 0 ] || hold_driver

look_at_driver
judge_driver
if [ "$STATE" = reboot ] && [ "$REBOOT_MAY_FOLLOW" -eq 1 ]; then
    say "waits for a reboot: $WHY"
    exit 0
fi
demand_driver
case $MODE in
ubuntu | cuda-repo)
    # Ubuntu's older branches are transitional packages that bring a newer one.
    [ "${LOADED%%.*}" = "$(printf '%s' "$BRANCH" | grep -Eo '^[0-9]+')" ] ||
        fail "wanted was the driver branch $BRANCH, $LOADED is loaded" "the branch's packages bring another one by now" \
            "set driver.branch in the fleet file to that one"
    ;;
esac
