#!/usr/bin/env bash
# The studio in a real browser: rebuilds the page and compares it with what is committed, then drives Debian's chromium against real sweeps.
# Options: --no-build (do not rebuild the page), --no-compare (a page that is not committed yet), NAME ... (only these scripts).
# Needs node, npm, chromium, python3 and a built binary (OVERDRIVE, default target/debug/overdrive).
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
(cd tests/studio && installed)

[ ${#only[@]} -gt 0 ] || only=(views actions logged reconnect hostile access mlflow)
for name in "${only[@]}"; do
    echo "== studio: $name"
    node "tests/studio/$name.mjs"
done
