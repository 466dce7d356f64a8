#!/usr/bin/env bash
# A small machine that is reached by SSH: a server of its own on loopback that leads into a root of nothing but busybox. There is no
# Python, no C library that programs built here are linked with, and no shell but busybox's.
#
#   small.sh start|stop|gone DIR
#
# DIR/env holds what tests need. Twice to start or to stop does no harm. Needs root and Debian's openssh-server and busybox-static.
set -euo pipefail
verb=${1:?start, stop or gone} dir=${2:?a folder}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
user=odsmall$(cksum <<<"$dir" | cut -d' ' -f1)
public=/run/overdrive-test-$user
root=$public/root
# By one name inside and outside.
home=$public/home

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

busybox_of_its_own() {
    for one in /usr/bin/busybox /bin/busybox "$(command -v busybox)"; do
        if [ -x "$one" ] && ! ldd "$one" 2>/dev/null | grep -q '=>'; then echo "$one"; return; fi
    done
    echo "small.sh: missing Debian package: busybox-static" >&2
    exit 1
}

start() {
    install -d -m 755 /run/sshd "$public" "$root"
    if ! id "$user" >/dev/null 2>&1; then
        useradd --no-create-home --home-dir "$home" --shell /bin/sh "$user"
    fi
    mkdir -p "$root"/{bin,usr/bin,etc,dev,proc,tmp,var/tmp} "$root$home"
    chmod 755 "$root" "$root"/{bin,usr,usr/bin,etc,dev,var} "$root/run" "$root$public"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    if [ ! -x "$root/bin/busybox" ]; then
        cp "$(busybox_of_its_own)" "$root/bin/busybox"
        for applet in $("$root/bin/busybox" --list | grep -v '^busybox$'); do ln -sf busybox "$root/bin/$applet"; done
    fi
    # What starts scripts whose name ends in .sh; its words are those of busybox's shell.
    printf '#!/bin/sh\nexec /bin/sh "$@"\n' >"$root/bin/bash"
    chmod 755 "$root/bin/bash"
    for device in 'null 3' 'zero 5' 'urandom 9'; do
        # shellcheck disable=SC2086
        set -- $device
        [ -e "$root/dev/$1" ] || mknod -m 666 "$root/dev/$1" c 1 "$2"
    done
    grep "^\(root\|$user\):" /etc/passwd >"$root/etc/passwd"
    [ -e "$root/proc/self" ] || mount -t proc proc "$root/proc"
    [ -e "$home" ] || ln -s "$root$home" "$home"
    chown "$user" "$root$home"
    chmod 711 "$root$home"
    # A locked password would keep keys out, too.
    chpasswd <<<"$user:$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')"
    for name in host client; do
        [ -f "$dir/$name" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$dir/$name"
    done
    cp "$dir/client.pub" "$public/authorized_keys"
    port=$(cat "$dir/port" 2>/dev/null ||
        python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    echo "$port" >"$dir/port"
    cat >"$dir/sshd_config" <<END
ListenAddress 127.0.0.1
Port $port
HostKey $dir/host
PidFile $dir/pid
AuthorizedKeysFile $public/authorized_keys
AllowUsers $user
ChrootDirectory $root
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100:30:200
LogLevel VERBOSE
END
    setsid /usr/sbin/sshd -f "$dir/sshd_config" -E "$dir/log" </dev/null >/dev/null 2>&1
    for _ in $(seq 200); do
        if running && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        sleep 0.05
    done
    running
    printf 'PORT=%s\nUSER=%s\nKEY=%s\nHOME=%s\n' "$port" "$user" "$dir/client" "$home" >"$dir/env"
}

# Sessions are children of the server.
stop() {
    if running; then
        pid=$(cat "$dir/pid")
        below=$(ps -o pid= --ppid "$pid" || true)
        # shellcheck disable=SC2086
        kill $pid $below 2>/dev/null || true
        for _ in $(seq 100); do running || break; sleep 0.05; done
    fi
    rm -f "$dir/pid"
}

case $verb in
start) running || start ;;
stop) stop ;;
gone)
    stop
    umount "$root/proc" 2>/dev/null || umount -l "$root/proc" 2>/dev/null || true
    # Never through a mount that stayed.
    mountpoint -q "$root/proc" || rm -rf "$public"
    userdel "$user" 2>/dev/null || true
    ;;
*) echo "small.sh start|stop|gone DIR" >&2; exit 2 ;;
esac
