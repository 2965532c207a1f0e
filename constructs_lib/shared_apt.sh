# apt as a step uses it: waits for other users of it, finishes what was interrupted, asks nothing.
# include: shared_apt_sources.sh
# include: shared_lock_holder.sh

# apt ARGUMENTS...: apt-get. The lock is held by unattended-upgrades on fresh machines; needrestart would ask.
apt() {
    NEEDRESTART_MODE=a apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
        -o Dpkg::Options::=--force-confold "$@"
}

# apt_ready: the machine's first boot is over, and dpkg is whole.
apt_ready() {
    if command -v cloud-init >/dev/null; then timeout 300 cloud-init status --wait >/dev/null 2>&1 || true; fi
    dpkg_is_whole && return 0
    # Whoever left it so may still be at work: apt waits for the lock, dpkg does not.
    wait_until 300 dpkg_is_free || fail "dpkg is at work for more than 300 s" "its lock is held: $LAST_PROBE" "end that process"
    dpkg_is_whole && return 0
    say "dpkg was interrupted: finishing it"
    done=$(dpkg --configure -a --force-confold 2>&1 </dev/null) ||
        fail "dpkg cannot finish what was interrupted" "$(printf '%s' "$done" | tail -n 3 | tr '\n' ' ')" \
            "log in and run: sudo dpkg --configure -a"
}

dpkg_is_whole() { [ -z "$(dpkg --audit 2>/dev/null)$(ls /var/lib/dpkg/updates 2>/dev/null)" ]; }

dpkg_is_free() {
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock; do
        pid=$(lock_holder "$file")
        [ -z "$pid" ] || { echo "process $pid holds $file" && return 1; }
    done
}

# installed_packages PATTERN: names of installed packages that match, one a line.
installed_packages() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | awk -v name="$1" '$1 == "installed" && $2 ~ name {print $2}'
}

# is_installed PACKAGE...
is_installed() {
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || return 1
    done
}

# hold PACKAGE...: marks those that are not yet.
hold() {
    held=$(apt-mark showhold)
    fresh=
    for package in "$@"; do
        printf '%s\n' "$held" | grep -qx "$package" || fresh="$fresh $package"
    done
    [ -n "$fresh" ] || return 0
    # shellcheck disable=SC2086 # a list of words
    apt-mark hold $fresh >/dev/null
    say "holds$fresh"
}

# turn_off_sources PATTERN: older guides left sources of the same packages behind, with other keys or none; apt then
# stops at "Conflicting values set for option Signed-By". apt leaves out files that end in .disabled.
turn_off_sources() {
    foreign_sources "$1" | while IFS= read -r file; do
        others=$(grep -E '^(deb |deb-src |URIs:)' "$file" | grep -Evc "$1" || true)
        if [ "$others" -eq 0 ] && [ "$file" != /etc/apt/sources.list ]; then
            mv -f "$file" "$file.disabled"
            say "turned off $file: it is now $file.disabled"
        elif [ "${file%.list}" != "$file" ]; then
            sed -E "\\#$1# s/^(deb|deb-src) /# off by edge-gpu: &/" "$file" >"$file.edge-gpu-new"
            chmod --reference="$file" "$file.edge-gpu-new"
            mv -f "$file.edge-gpu-new" "$file"
            say "turned off a line of $file"
        else
            fail "an apt source is in the way" "$file has $1 beside other sources" "take that one out of the file"
        fi
    done
}

# add_repository NAME KEY_URL KEY_SHA256 LINE: a signed source, its index read. %KEYRING% in LINE stands for the keyring.
add_repository() {
    key=$(mktemp)
    curl --fail --silent --show-error --location --retry 3 --retry-connrefused --connect-timeout 15 --max-time 60 \
        --output "$key" "$2" ||
        fail "download of $2 failed" "curl ended with exit code $?" "open the address from this node"
    seen=$(sha256sum "$key" | cut -d' ' -f1)
    if [ -n "$3" ] && [ "$seen" != "$3" ]; then
        fail "the repository's key has the wrong sha256: expected $3, seen $seen" \
            "the key was rotated, or something answers in the repository's place" "compare with the key NVIDIA publishes"
    fi
    # apt reads both forms of a key, and tells them apart by the file's name. `base64 -d` is no test for the binary one.
    case $(head -c 36 "$key" | tr -d '\0') in
    "-----BEGIN PGP PUBLIC KEY BLOCK-----") keyring=/usr/share/keyrings/$1-keyring.asc ;;
    [[:print:]][[:print:]][[:print:]][[:print:]]*)
        fail "the repository's key cannot be read" "$2 is no OpenPGP key" "correct the key's address in the fleet file"
        ;;
    *) keyring=/usr/share/keyrings/$1-keyring.gpg ;;
    esac
    put 0644 "$keyring" <"$key"
    rm -f "$key"
    list=/etc/apt/sources.list.d/$1.list
    put 0644 "$list" <<LIST_FILE
$(printf '%s' "$4" | sed "s#%KEYRING%#$keyring#")
LIST_FILE
    apt -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 update ||
        fail "apt-get update of $1 failed" "see apt's lines above" "check the repository's address and its key in the fleet file"
}
