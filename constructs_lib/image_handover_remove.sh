# Exits 0 when the image's archive is gone from K3s's images folder; what K3s imported stays until K3s is removed.
: "${NODE:?}" "${ARCHIVE_NAME:?}"

archive=/var/lib/rancher/k3s/agent/images/$ARCHIVE_NAME
if [ -e "$archive" ]; then
    rm -f "$archive"
    say "removed $archive"
fi
