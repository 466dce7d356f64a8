#!/usr/bin/env bash
# An ordinary user whose podman works without root and without systemd.
#
#   podman.sh start|stop DIR
#
# DIR/env holds USER, HOME, XDG_RUNTIME_DIR and IMAGE. Needs root and Debian's podman, runc, uidmap, slirp4netns, fuse-overlayfs and busybox-static.
set -euo pipefail
verb=${1:?start or stop} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
name=odpod$(($(cksum <<<"$dir" | cut -d' ' -f1) % 100000))
home=/var/lib/$name
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
rootfs=${OVERDRIVE_TEST_ROOTFS:-${XDG_CACHE_HOME:-$HOME/.cache}/overdrive-tests/rootfs.tar}

as_user() { (cd "$home" && setpriv --reuid="$name" --regid="$name" --init-groups env -i PATH="$PATH" HOME="$home" XDG_RUNTIME_DIR="$home/run" "$@"); }

start() {
    missing=()
    for entry in podman:podman runc:runc newuidmap:uidmap slirp4netns:slirp4netns fuse-overlayfs:fuse-overlayfs busybox:busybox-static setpriv:util-linux; do
        command -v "${entry%%:*}" >/dev/null 2>&1 || missing+=("${entry#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || { echo "podman.sh: missing Debian packages: ${missing[*]}" >&2; exit 1; }
    bash "$here/rootfs.sh" "$rootfs"
    id "$name" >/dev/null 2>&1 || useradd --create-home --home-dir "$home" --shell /bin/sh "$name"
    mkdir -p "$home/.config/containers" "$home/run"
    # Without systemd there is nobody to make groups for, and crun wants one hierarchy of them.
    printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$home/.config/containers/containers.conf"
    install -m 644 "$rootfs" "$home/rootfs.tar"
    chmod 700 "$home/run"
    chown -R "$name:$name" "$home"
    as_user podman image exists overdrive-test 2>/dev/null ||
        as_user podman import -q -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$home/rootfs.tar" overdrive-test >"$dir/import.log" 2>&1 ||
        { tail -5 "$dir/import.log" >&2; exit 1; }
    rm -f "$home/rootfs.tar"
    printf 'USER=%s\nHOME=%s\nXDG_RUNTIME_DIR=%s\nIMAGE=localhost/overdrive-test\n' "$name" "$home" "$home/run" >"$dir/env"
}

stop() {
    id "$name" >/dev/null 2>&1 || return 0
    as_user podman rm -af >/dev/null 2>&1 || true
    as_user podman unshare rm -rf "$home/.local/share/containers" >/dev/null 2>&1 || true
    as_user podman system migrate >/dev/null 2>&1 || true
    userdel --remove "$name" >/dev/null 2>&1 || true
    rm -rf "$home"
}

case $verb in
start) start ;;
stop) stop ;;
*) echo "podman.sh start|stop DIR" >&2; exit 2 ;;
esac
