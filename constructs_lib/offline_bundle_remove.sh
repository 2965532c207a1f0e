# Exits 0 when no unpacked bundle is left on this machine.
: "${NODE:?}" "${BUNDLE_FOLDER:?}"

rm -rf "$BUNDLE_FOLDER"
rmdir "$(dirname "$BUNDLE_FOLDER")" 2>/dev/null || true
say "the bundle is removed"
