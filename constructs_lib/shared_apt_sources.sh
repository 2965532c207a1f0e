# OUR_SOURCES: apt sources that the steps write; others for the same packages are in their way.
OUR_SOURCES="nvidia-container-toolkit.list edge-gpu-nvidia-driver.list"

# foreign_sources PATTERN: files with an apt source in use that matches and is not ours, one a line.
foreign_sources() {
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        case " $OUR_SOURCES " in *" $(basename "$file") "*) continue ;; esac
        if [ -f "$file" ] && grep -Ev '^[[:space:]]*#' "$file" | grep -Eq "$1"; then echo "$file"; fi
    done
}
