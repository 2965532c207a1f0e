# Exits 0 when the pinned NVIDIA container toolkit is installed from its signed repository and held.
: "${NODE:?}" "${VERSION:?}" "${APT_REPOSITORY:?}" "${APT_KEY_URL:?}" "${APT_KEY_SHA256?}"
# include: shared_apt.sh

PACKAGES="nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1"

installed() {
    for package in $PACKAGES; do
        [ "$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$package" 2>/dev/null)" = "installed $VERSION" ] || return 1
    done
}

if installed; then
    say "toolkit $VERSION is installed"
else
    apt_ready
    turn_off_sources 'nvidia\.github\.io/(libnvidia-container|nvidia-docker|nvidia-container-runtime)'
    # The variable in it is apt's, not the shell's.
    # shellcheck disable=SC2016
    add_repository nvidia-container-toolkit "$APT_KEY_URL" "$APT_KEY_SHA256" \
        "deb [signed-by=%KEYRING%] $APT_REPOSITORY/"'$(ARCH) /'
    pinned=
    for package in $PACKAGES; do pinned="$pinned $package=$VERSION"; done
    # shellcheck disable=SC2086 # a list of words
    apt install --no-install-recommends --allow-change-held-packages --allow-downgrades -y $pinned >/dev/null ||
        fail "installing$pinned failed" "see apt's lines above" "apt-cache policy nvidia-container-toolkit on this node lists what there is"
    # shellcheck disable=SC2086 # a list of words
    installed || fail "the toolkit is not at $VERSION after its installation" "$(dpkg-query -W $PACKAGES 2>&1)" \
        "look for pins in /etc/apt/preferences.d"
    say "installed toolkit $VERSION"
fi
# shellcheck disable=SC2086 # a list of words
hold $PACKAGES
# Not nvidia-container-runtime itself: it wants a runc, which K3s brings along later. K3s finds it at its start: the step
# k3s restarts a K3s that runs without it, and checks that containerd's configuration names it.
nvidia-ctk --version >/dev/null ||
    fail "the toolkit's programs do not start" "$(nvidia-ctk --version 2>&1)" "reinstall nvidia-container-toolkit-base"
