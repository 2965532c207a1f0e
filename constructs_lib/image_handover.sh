# Exits 0 when K3s here has the uploaded image: its archive lies in K3s's images folder, and a running K3s imported it.
: "${NODE:?}" "${IMAGE:?}" "${ARCHIVE:?}" "${IMPORT_TIMEOUT_SECONDS:?}"

IMAGES=/var/lib/rancher/k3s/agent/images
upload=$HERE/$ARCHIVE.tar
# In the place of the shared trap: this step has no secrets, and those of a step beside it are not its own.
trap 'rm -f "$upload" "$upload.sha256"' EXIT

expected=$(cat "$upload.sha256")
seen=$(sha256sum "$upload" | cut -d' ' -f1)
if [ "$seen" != "$expected" ]; then
    fail "the uploaded archive of $IMAGE has the wrong sha256: expected $expected, seen $seen" \
        "the upload was cut off, or the disk is full" "deploy again; look at: df -h $HERE"
fi
# A name of its own for each content: K3s does not import a changed file again when its size is the same.
placed=$IMAGES/$ARCHIVE.$(printf %.12s "$seen").tar
if same_file "$upload" "$placed"; then
    say "$IMAGE is there already"
else
    mkdir -p "$IMAGES"
    # K3s watches the folder: this name has an ending that it does not import, until the file is whole.
    cp "$upload" "$placed.edge-gpu-new"
    mv -f "$placed.edge-gpu-new" "$placed"
    say "wrote $placed"
fi
for old in "$IMAGES/$ARCHIVE".????????????.tar; do
    if [ "$old" != "$placed" ]; then rm -f "$old"; fi
done

if ! systemctl is-active --quiet k3s && ! systemctl is-active --quiet k3s-agent; then
    say "K3s is not running: it imports $IMAGE when it starts"
    exit 0
fi
imported() { /usr/local/bin/k3s crictl inspecti -q "$IMAGE" >/dev/null; }
wait_until "$IMPORT_TIMEOUT_SECONDS" imported ||
    fail "K3s did not import $IMAGE within $IMPORT_TIMEOUT_SECONDS s" "$LAST_PROBE" \
        "read containerd's log, /var/lib/rancher/k3s/agent/containerd/containerd.log; K3s before October 2024 imports only when it starts: systemctl restart k3s k3s-agent"
say "K3s has $IMAGE"
