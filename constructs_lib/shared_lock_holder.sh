# lock_holder FILE: the process that holds a lock on it, from the kernel's list.
lock_holder() {
    [ -e "$1" ] || return 0
    awk -v inode="$(stat -c %i "$1")" '{ n = split($6, id, ":"); if (id[n] == inode) { print $5; exit } }' /proc/locks
}
