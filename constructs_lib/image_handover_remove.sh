# Exits 0 when the image's archive is gone from K3s's images folder; what K3s imported stays until K3s is removed.
: "${NODE:?}" "${ARCHIVE:?}"

for archive in "/var/lib/rancher/k3s/agent/images/$ARCHIVE".????????????.tar; do
    [ -e "$archive" ] || continue
    rm -f "$archive"
    say "removed $archive"
done
