# Exits 0 when the wanted bundle lies unpacked and whole in its folder on this machine.
: "${NODE:?}" "${BUNDLE_SHA256:?}" "${BUNDLE_FOLDER:?}" "${ARCHITECTURE:?}"

upload=$HERE/bundle.tar
unfinished=$BUNDLE_FOLDER.edge-gpu-new
trap 'rm -rf "$SECRETS" "$upload" "$unfinished"' EXIT

# The unpacked files are checked whenever this runs, so that a damaged one does not wait for the next bundle.
whole() { (cd "$1" && sha256sum --quiet --strict -c SHA256SUMS); }
if [ "$(cat "$BUNDLE_FOLDER/.sha256" 2>/dev/null)" = "$BUNDLE_SHA256" ] && whole "$BUNDLE_FOLDER" >/dev/null 2>&1; then
    say "bundle $BUNDLE_SHA256 is here"
    exit 0
fi

[ -f "$upload" ] || fail "the bundle was not uploaded" "$upload is missing" "deploy again"
seen=$(sha256sum "$upload" | cut -d' ' -f1)
[ "$seen" = "$BUNDLE_SHA256" ] ||
    fail "the uploaded bundle has the wrong sha256: expected $BUNDLE_SHA256, seen $seen" \
        "the upload was cut off, or the file was changed since the plan" "edge-gpu bundle verify, then deploy again"
mkdir -p "$(dirname "$BUNDLE_FOLDER")"
size=$(($(stat -c %s "$upload") / 1048576))
free=$(df -Pm "$(dirname "$BUNDLE_FOLDER")" | awk 'NR == 2 {print $4}')
[ "$free" -gt "$size" ] ||
    fail "$BUNDLE_FOLDER has $free MiB free, the bundle unpacks to $size MiB" "the file system is too small or too full" \
        "free space there"

rm -rf "$unfinished"
mkdir -p "$unfinished"
# apt reads its files as a user of its own.
tar -xf "$upload" -C "$unfinished" --no-same-owner || fail "the bundle cannot be unpacked" "see tar's lines above" "free space, deploy again"
chmod -R u=rwX,go=rX "$unfinished"
whole "$unfinished" || fail "the bundle holds files with wrong checksums" "see sha256sum's lines above" "make the bundle anew"
made_for=$(cat "$unfinished/architecture")
[ "$made_for" = "$ARCHITECTURE" ] ||
    fail "the bundle is for $made_for, this machine is $ARCHITECTURE" "another architecture's bundle was given" \
        "make one with: edge-gpu bundle create FLEET --architecture $ARCHITECTURE"
printf '%s\n' "$BUNDLE_SHA256" >"$unfinished/.sha256"
rm -rf "$BUNDLE_FOLDER"
mv "$unfinished" "$BUNDLE_FOLDER"
# Whoever unpacked it made the folders of the way there private.
chmod 0755 "$(dirname "$BUNDLE_FOLDER")" "$BUNDLE_FOLDER"
say "unpacked bundle $BUNDLE_SHA256, $size MiB"
