# Exits 0 when ARCHIVE holds IMAGE as a tar and ARCHIVE.sha256 its checksum. Runs beside Terraform, not on a node.
: "${IMAGE:?}" "${IMAGE_ID:?}" "${ARCHIVE:?}"
set -eu
umask 077

command -v docker >/dev/null || {
    echo "ERROR cannot save $IMAGE: there is no docker command; install Docker's command line client" >&2
    exit 1
}
# The image that was built, not what its name may have come to mean since.
seen=$(docker image inspect --format '{{.Id}}' "$IMAGE")
if [ "$seen" != "$IMAGE_ID" ]; then
    echo "ERROR $IMAGE is $seen on this engine, and the deploy built $IMAGE_ID" >&2
    echo "  fix: point DOCKER_HOST at the engine that builds the images" >&2
    exit 1
fi
mkdir -p "$(dirname "$ARCHIVE")"
trap 'rm -f "$ARCHIVE.new"' EXIT
docker save --output "$ARCHIVE.new" "$IMAGE"
sha256sum "$ARCHIVE.new" | cut -d' ' -f1 >"$ARCHIVE.sha256"
mv -f "$ARCHIVE.new" "$ARCHIVE"
echo "saved $IMAGE: $(wc -c <"$ARCHIVE") bytes, sha256 $(cat "$ARCHIVE.sha256")"
