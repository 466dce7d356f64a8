#!/usr/bin/env bash
# A root file system for containers, made of what this machine has: busybox, bash, Python 3 with its library, and what they are linked with.
# No network is needed, and programs built here run in it.
#
#   rootfs.sh FILE.tar
#
# Needs Debian's busybox-static.
set -euo pipefail
out=${1:?a file}
[ -s "$out" ] && exit
command -v busybox >/dev/null || { echo "rootfs.sh: missing Debian package: busybox-static" >&2; exit 1; }
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$out")/rootfs.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,usr/bin,etc,tmp,proc,sys,dev,root,var,lib,lib64,usr/lib}
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do ln -sf busybox "$root/bin/$applet"; done
ln -sf ../../bin/busybox "$root/usr/bin/env"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
# A program with every shared object it is linked with.
linked() {
    ldd "$1" 2>/dev/null | grep -o '/[^ )]*' | sort -u || true
}
add() {
    mkdir -p "$root$(dirname "$1")"
    cp -L "$1" "$root$1"
}
python=$(readlink -f "$(PATH=/usr/bin:/bin command -v python3)")
add "$python"
ln -sf "$(basename "$python")" "$root/usr/bin/python3"
library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
mkdir -p "$root$library"
tar -C "$library" --exclude=__pycache__ --exclude=test --exclude=idlelib --exclude=tkinter --exclude=dist-packages --exclude='config-*' -cf - . | tar -C "$root$library" -xf -
rm -f "$root/bin/bash" "$root/bin/sh"
add /bin/bash
ln -sf busybox "$root/bin/sh"
for program in "$python" /bin/bash /usr/bin/git $(find "$library/lib-dynload" -name '*.so'); do
    [ -e "$program" ] || continue
    for object in $(linked "$program"); do [ -e "$root$object" ] || add "$object"; done
done
# What Rust programs are linked with.
for name in libgcc_s.so.1 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
    object=$(ldconfig -p 2>/dev/null | grep -o "/.*/$name$" | head -n 1 || true)
    [ -z "$object" ] || [ -e "$root$object" ] || add "$object"
done
tar -C "$root" --owner=0 --group=0 -cf "$work/image.tar" .
mv "$work/image.tar" "$out"
