# Exits 0 when K3s here has the uploaded image: its archive lies in K3s's images folder, and a running K3s imported it.
: "${NODE:?}" "${IMAGE:?}" "${ARCHIVE_NAME:?}" "${IMPORT_TIMEOUT_SECONDS:?}"

IMAGES=/var/lib/rancher/k3s/agent/images
upload=$HERE/$ARCHIVE_NAME
# In the place of the shared trap: this step has no secrets, and those of a step beside it are not its own.
trap 'rm -f "$upload" "$upload.sha256"' EXIT

expected=$(cat "$upload.sha256")
seen=$(sha256sum "$upload" | cut -d' ' -f1)
if [ "$seen" != "$expected" ]; then
    fail "the uploaded archive of $IMAGE has the wrong sha256: expected $expected, seen $seen" \
        "the upload was cut off, or the disk is full" "deploy again; look at: df -h $HERE"
fi
if same_file "$upload" "$IMAGES/$ARCHIVE_NAME"; then
    say "$IMAGE is there already"
else
    mkdir -p "$IMAGES"
    # K3s watches the folder: the new name has an ending that it does not import, until the file is whole.
    cp "$upload" "$IMAGES/$ARCHIVE_NAME.edge-gpu-new"
    mv -f "$IMAGES/$ARCHIVE_NAME.edge-gpu-new" "$IMAGES/$ARCHIVE_NAME"
    say "wrote $IMAGES/$ARCHIVE_NAME, sha256 $seen"
fi

if ! systemctl is-active --quiet k3s && ! systemctl is-active --quiet k3s-agent; then
    say "K3s is not running: it imports $IMAGE when it starts"
    exit 0
fi
imported() { /usr/local/bin/k3s crictl inspecti -q "$IMAGE" >/dev/null; }
wait_until "$IMPORT_TIMEOUT_SECONDS" imported ||
    fail "K3s did not import $IMAGE within $IMPORT_TIMEOUT_SECONDS s" "$LAST_PROBE" \
        "read containerd's log, /var/lib/rancher/k3s/agent/containerd/containerd.log; K3s before October 2024 imports only when it starts: systemctl restart k3s k3s-agent"
say "K3s has $IMAGE"
