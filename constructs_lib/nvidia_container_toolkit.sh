# Exits 0 when the pinned NVIDIA container toolkit is installed from its signed repository and held.
: "${NODE:?}" "${VERSION:?}" "${APT_REPOSITORY:?}" "${APT_KEY_URL:?}" "${APT_KEY_SHA256?}"

PACKAGES="nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1"
KEYRING=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg
LIST=/etc/apt/sources.list.d/nvidia-container-toolkit.list

installed() {
    for package in $PACKAGES; do
        [ "$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$package" 2>/dev/null)" = "installed $VERSION" ] || return 1
    done
}

apt() {
    # The lock is held by unattended-upgrades on fresh machines; needrestart would ask.
    NEEDRESTART_MODE=a apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=30 "$@"
}

if installed; then
    say "toolkit $VERSION is installed"
else
    command -v gpg >/dev/null || { apt update && apt install --no-install-recommends -y gnupg; }
    key=$(mktemp)
    curl --fail --silent --show-error --location --retry 3 --connect-timeout 15 --max-time 60 --output "$key" "$APT_KEY_URL" ||
        fail "download of $APT_KEY_URL failed" "curl ended with exit code $?" "open the address from this node"
    seen=$(sha256sum "$key" | cut -d' ' -f1)
    if [ -n "$APT_KEY_SHA256" ] && [ "$seen" != "$APT_KEY_SHA256" ]; then
        fail "the repository's key has the wrong sha256: expected $APT_KEY_SHA256, seen $seen" \
            "the key was rotated, or something answers in the repository's place" "compare with the key NVIDIA publishes"
    fi
    gpg --batch --yes --quiet --dearmor --output "$key.gpg" "$key" ||
        fail "the repository's key cannot be read" "$APT_KEY_URL is no OpenPGP key" "correct apt_key_url in the fleet file"
    put 0644 "$KEYRING" <"$key.gpg"
    rm -f "$key" "$key.gpg"
    # Older guides left lists of the same repository behind; apt then stops at "Conflicting values set for Signed-By".
    for old in libnvidia-container nvidia-docker nvidia-container-runtime; do
        rm -f "/etc/apt/sources.list.d/$old.list"
    done
    # The variable in it is apt's, not the shell's.
    put 0644 "$LIST" <<LIST_FILE
deb [signed-by=$KEYRING] $APT_REPOSITORY/\$(ARCH) /
LIST_FILE
    apt -o Dir::Etc::sourcelist="$LIST" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 update ||
        fail "apt-get update of $APT_REPOSITORY failed" "see apt's lines above" "check apt_repository and the key in the fleet file"
    pinned=
    for package in $PACKAGES; do pinned="$pinned $package=$VERSION"; done
    # shellcheck disable=SC2086 # a list of words
    apt install --no-install-recommends --allow-change-held-packages -y -o Dpkg::Options::=--force-confold $pinned >/dev/null ||
        fail "installing$pinned failed" "see apt's lines above" "apt-cache policy nvidia-container-toolkit on this node lists what there is"
    # shellcheck disable=SC2086 # a list of words
    installed || fail "the toolkit is not at $VERSION after its installation" "$(dpkg-query -W $PACKAGES 2>&1)" \
        "look for pins in /etc/apt/preferences.d"
    say "installed toolkit $VERSION"
fi
# shellcheck disable=SC2086 # a list of words
apt-mark hold $PACKAGES >/dev/null
# Not nvidia-container-runtime itself: it wants a runc, which K3s brings along later.
nvidia-ctk --version >/dev/null ||
    fail "the toolkit's programs do not start" "$(nvidia-ctk --version 2>&1)" "reinstall nvidia-container-toolkit-base"
