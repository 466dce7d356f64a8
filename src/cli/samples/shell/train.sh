#!/bin/sh
# Compresses some text and reports how small it became.
set -eu
level=6 strategy=gzip
while [ $# -gt 0 ]; do
    case "$1" in
    --level) level=$2; shift 2 ;;
    --strategy) strategy=$2; shift 2 ;;
    *) echo "unknown argument $1" >&2; exit 2 ;;
    esac
done
i=0
while [ $i -lt 3000 ]; do
    echo "line $i of $((i * i % 97)) and $((i * 31 % 53))"
    i=$((i + 1))
done >text
"$strategy" "-$level" <text >outputs/text.compressed
echo "size=$(wc -c <outputs/text.compressed | tr -d ' ')"
