#!/usr/bin/env bash
# A Docker engine on this machine, apart from any other: socket, images and containers lie in folders of its own.
#
#   docker.sh start|stop DIR
#
# DIR/env holds DOCKER_HOST and IMAGE, an image with a shell and Python 3 that is made here. There is no network but the machine's own.
# Needs root and Debian's docker.io, iptables and busybox-static.
set -euo pipefail
verb=${1:?start or stop} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
run=/run/overdrive-docker-$(cksum <<<"$dir" | cut -d' ' -f1)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH DOCKER_HOST=unix://$run/docker.sock
rootfs=${OVERDRIVE_TEST_ROOTFS:-${XDG_CACHE_HOME:-$HOME/.cache}/overdrive-tests/rootfs.tar}

running() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

start() {
    missing=()
    for entry in dockerd:docker.io docker:docker.io containerd:containerd runc:runc iptables:iptables busybox:busybox-static; do
        command -v "${entry%%:*}" >/dev/null 2>&1 || missing+=("${entry#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || { echo "docker.sh: missing Debian packages: ${missing[*]}" >&2; exit 1; }
    bash "$here/rootfs.sh" "$rootfs"
    install -d -m 711 "$run"
    if ! running "$run/dockerd.pid"; then
        rm -f "$run"/*.pid
        setsid dockerd --host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$run/exec" --pidfile "$run/dockerd.pid" \
            --exec-opt native.cgroupdriver=cgroupfs --bridge=none --iptables=false --ip6tables=false </dev/null >"$dir/dockerd.log" 2>&1 &
    fi
    for _ in $(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
    docker version >/dev/null || { tail -20 "$dir/dockerd.log" >&2; exit 1; }
    docker image inspect overdrive-test >/dev/null 2>&1 ||
        docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' -c 'CMD ["/bin/sh"]' "$rootfs" overdrive-test >/dev/null
    printf 'DOCKER_HOST=%s\nIMAGE=overdrive-test\n' "$DOCKER_HOST" >"$dir/env"
}

stop() {
    if running "$run/dockerd.pid"; then
        # shellcheck disable=SC2046
        docker rm -f $(docker ps -aq) >/dev/null 2>&1 || true
        daemon=$(cat "$run/dockerd.pid")
        kill "$daemon"
        for _ in $(seq 200); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$daemon" 2>/dev/null || true
    fi
    grep -E " ($dir|$run)/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
    rm -rf "$run" "$dir/data"
}

case $verb in
start) start ;;
stop) stop ;;
*) echo "docker.sh start|stop DIR" >&2; exit 2 ;;
esac
