#!/usr/bin/env bash
# The studio in a real browser: rebuilds the page and compares it with what is committed, then drives Debian's chromium against real sweeps.
# Options: --no-build (do not rebuild the page), --no-compare (a page that is not committed yet), NAME ... (only these scripts).
# UNSTABLE names a file: a script that fails is asked once more, and written there if it passes then; at most two of them.
# Needs root, node, npm, chromium, python3, openssh-server, a built binary (OVERDRIVE, default target/debug/overdrive) and the example studio_seed (SEED).
set -euo pipefail
cd "$(dirname "$0")/../.."
build=yes compare=yes only=()
for option in "$@"; do
    case "$option" in
    --no-build) build=no ;;
    --no-compare) compare=no ;;
    -*) echo "tests/studio/run.sh: unknown option $option" >&2; exit 2 ;;
    *) only+=("$option") ;;
    esac
done
# What the lock file says, unless it is there already.
installed() {
    [ node_modules/.package-lock.json -nt package-lock.json ] || PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund
}
fail() { echo "tests/studio/run.sh: $*" >&2; exit 1; }
for tool in node npm python3 git; do command -v "$tool" >/dev/null || fail "$tool is missing"; done
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
[ -x "$CHROMIUM" ] || fail "chromium is missing: apt-get install chromium"
export OVERDRIVE=${OVERDRIVE:-$PWD/target/debug/overdrive}
[ -x "$OVERDRIVE" ] || fail "$OVERDRIVE is missing: cargo build --bin overdrive"

if [ "$build" = yes ]; then
    (cd studio && installed && npm run --silent build >/dev/null)
    if [ "$compare" = yes ] && [ -n "$(git status --porcelain studio/dist studio/packed)" ]; then
        git status --short studio/dist studio/packed >&2
        fail "studio/dist and studio/packed are not what studio/src builds to: commit them"
    fi
fi
(cd studio && installed)
(cd tests/studio && installed)

# Scripts that wait more than they work run beside the others; those that measure run alone.
shows() {
    local name
    for name in "$@"; do
        echo "== studio: $name"
        node "tests/studio/$name.mjs" && continue
        echo "== studio: $name failed"
        { [ -n "${UNSTABLE:-}" ] && [ "$(wc -l <"$UNSTABLE")" -lt 2 ]; } || return 1
        echo "== studio: $name, once more"
        node "tests/studio/$name.mjs" || return 1
        echo "$name" >>"$UNSTABLE"
    done
}
if [ ${#only[@]} -gt 0 ]; then
    shows "${only[@]}"
    exit
fi
[ -x "${SEED:-target/debug/examples/studio_seed}" ] || fail "studio_seed is missing: cargo build --example studio_seed"
export SEED=${SEED:-$PWD/target/debug/examples/studio_seed}
beside=$(mktemp)
trap 'rm -f "$beside"' EXIT
shows raster logged reconnect hostile access mlflow keyboard attach >"$beside" 2>&1 &
other=$!
both=0
shows views actions || both=1
wait "$other" || both=1
cat "$beside"
[ "$both" = 0 ] || exit 1
TRIALS=${TRIALS:-10000} POINTS=${POINTS:-20} shows budget
TRIALS=${TRIALS:-100000} POINTS=${POINTS:-5} shows scale
