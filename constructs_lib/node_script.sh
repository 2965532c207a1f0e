set -eu
umask 077
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HERE=$(cd "$(dirname "$0")" && pwd)
SECRETS=$HERE/$(basename "$0" .sh).secrets
trap 'rm -rf "$SECRETS"' EXIT
# Without these a shell that the time limit ends would leave out what it does at its end.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s %s: %s\n' "$NODE" "$STEP" "$*"; }

# fail WHAT CAUSE FIX
fail() {
    printf 'ERROR node=%s step=%s: %s\n  cause: %s\n  fix: %s\n' "$NODE" "$STEP" "$1" "$2" "$3" >&2
    exit 1
}

# wait_until SECONDS COMMAND...: polls the command twice a second; its last output is in $LAST_PROBE.
wait_until() {
    deadline=$(($(date +%s) + $1))
    shift
    while ! LAST_PROBE=$("$@" 2>&1); do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

# masked: stdin without join tokens.
masked() { sed -E 's/K10[0-9a-f]{64}::[A-Za-z]+:[^[:space:]"]+/K10***/g; s/(token=)[^[:space:]"]+/\1***/g'; }

# same_file A B: both there with the same bytes.
same_file() { [ -f "$1" ] && [ -f "$2" ] && cmp -s "$1" "$2"; }

# put MODE DESTINATION <FILE: writes stdin there at once and whole; sets CHANGED=1 when that changed anything.
# Redirect into it: at the end of a pipe it would run in a subshell, and CHANGED would be lost.
CHANGED=0
put() {
    new=$2.edge-gpu-new
    mkdir -p "$(dirname "$2")"
    cat >"$new"
    chmod "$1" "$new"
    if same_file "$new" "$2"; then
        rm -f "$new"
        chmod "$1" "$2"
    else
        mv -f "$new" "$2"
        CHANGED=1
        say "wrote $2"
    fi
}

# fetch URL SHA256 DESTINATION: downloads unless the wanted bytes are there; sets CHANGED=1 when it did.
fetch() {
    if [ -f "$3" ] && [ "$(sha256sum "$3" | cut -d' ' -f1)" = "$2" ]; then return 0; fi
    mkdir -p "$(dirname "$3")"
    started=$(date +%s)
    curl --fail --silent --show-error --location --retry 3 --retry-connrefused --connect-timeout 15 --max-time 900 \
        --output "$3.edge-gpu-new" "$1" ||
        fail "download of $1 failed" "curl ended with exit code $?" "open the address from this node: curl -IL '$1'"
    seen=$(sha256sum "$3.edge-gpu-new" | cut -d' ' -f1)
    if [ "$seen" != "$2" ]; then
        rm -f "$3.edge-gpu-new"
        fail "download of $1 has the wrong sha256: expected $2, seen $seen" \
            "the file at that address is another version, truncated or tampered with" \
            "put the published checksum of exactly this file into the fleet file"
    fi
    mv -f "$3.edge-gpu-new" "$3"
    CHANGED=1
    say "downloaded $1 in $(($(date +%s) - started)) s"
}

