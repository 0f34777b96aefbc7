#!/usr/bin/env bash
# Makes a bare Debian machine able to build and run groundbench's containers; see --help.
set -euo pipefail
shopt -s inherit_errexit

readonly TAG=${BENCH_BASE_IMAGE:-python:3.11-slim-bookworm}
readonly LOG=${BENCH_ENGINE_LOG:-/var/log/groundbench-dockerd.log}
readonly WAIT_S=${BENCH_ENGINE_WAIT:-60}
readonly SUITE=bookworm
readonly ROOTFS=groundbench/rootfs:$SUITE    # the base image before the machine's certificates are added
readonly LABEL=org.groundbench.base          # its value: a digest of the certificates inside
readonly CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
readonly LOCK=/run/lock/groundbench-engine.lock

usage() {
    cat <<EOF
usage: engine.sh [--help]

Prepares this machine for \`bench run --engine docker\`, as root, and may be run as often as you like:

  1. installs Docker and debootstrap with apt-get, where they are absent
  2. starts dockerd, where no daemon answers
  3. gets the image that plugins are built on: it is left alone where it is there, pulled where a
     registry can be reached, and otherwise made from Debian's packages (Python 3.11, pip, and this
     machine's certificates, so that a build trusts what the machine trusts)

environment:
  BENCH_BASE_IMAGE     tag of that image (now $TAG)
  BENCH_DEBIAN_MIRROR  where debootstrap fetches from; by default the first of apt's own sources
  BENCH_ENGINE_LOG     log of a dockerd that is started here (now $LOG)
  BENCH_ENGINE_WAIT    seconds to wait for it (now $WAIT_S)
  DOCKER_HOST          a daemon elsewhere: it is used as it is, and none is started
EOF
}

say() { printf 'engine: %s\n' "$*"; }
fail() {
    printf 'engine: %s\n' "$@" >&2
    exit 1
}

main() {
    case ${1:-} in
        '') ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
    [[ $EUID -eq 0 ]] || fail "this installs packages and starts a daemon: run it as root (sudo $0)"
    lock
    install_packages
    start_daemon
    get_image
    say "ready: $TAG is $(docker image inspect --format '{{.Id}}' "$TAG" | cut -c8-19)"
}

# Whoever comes second waits, and then finds everything done. Nothing that outlives this script may inherit
# descriptor 9, or it would hold the lock for as long as it runs.
lock() {
    mkdir -p "${LOCK%/*}"
    exec 9>"$LOCK"
    flock --wait 1800 9 || fail "another engine.sh has held $LOCK for half an hour"
}

install_packages() {
    local missing=()
    [[ -n $(type -P docker) ]] || missing+=(docker.io)
    [[ -n $(type -P dockerd) || -n ${DOCKER_HOST:-} ]] || missing+=(docker.io)
    [[ -n $(type -P debootstrap) ]] || missing+=(debootstrap)
    [[ -s $CERTIFICATES ]] || missing+=(ca-certificates)
    if ((${#missing[@]} == 0)); then
        say 'packages: all there'
        return
    fi
    [[ -n $(type -P apt-get) ]] || fail "missing: ${missing[*]}" 'this is no Debian: install them by hand, then run this again'
    say "packages: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # A package's own start of the daemon fails where there is no init system; step 2 does it.
    { apt-get update -qq && apt-get install -y -qq "${missing[@]}"; } >/dev/null 9>&- ||
        fail "apt-get could not install ${missing[*]}"
    hash -r
}

answers() { timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null; }

start_daemon() {
    local version launched=
    if version=$(answers); then
        say "daemon: $version answers"
        return
    fi
    [[ -z ${DOCKER_HOST:-} ]] || fail "no daemon answers at $DOCKER_HOST" 'start it, or unset DOCKER_HOST'
    if [[ -d /run/systemd/system ]]; then
        systemctl start docker || fail 'systemctl could not start docker' 'see what it says: journalctl -u docker'
    else
        launch_daemon
    fi
    local end=$((SECONDS + WAIT_S))
    until version=$(answers); do
        if ((SECONDS >= end)) || { [[ -n $launched ]] && ! kill -0 "$launched" 2>/dev/null; }; then
            tail -n 20 "$LOG" >&2 || true
            fail "dockerd does not answer; its log is $LOG"
        fi
        sleep 0.3
    done
    say "daemon: $version started"
}

launch_daemon() {
    if ! grep -q ' cgroup2\? ' /proc/mounts; then
        # Nobody has mounted the control groups where there is no init system.
        if [[ -n $(type -P cgroupfs-mount) ]]; then cgroupfs-mount; else mount -t cgroup2 none /sys/fs/cgroup; fi
    fi
    local pid
    pid=$(cat /run/docker.pid 2>/dev/null || true)
    if [[ -n $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]]; then
        return # somebody is starting one at this moment
    fi
    rm -f /run/docker.pid # left by a daemon that was killed; it would keep a new one from starting
    setsid nohup dockerd >>"$LOG" 2>&1 </dev/null 9>&- &
    launched=$!
}

get_image() {
    local digest held
    digest=$(sha256sum "$CERTIFICATES" | cut -c1-16)
    if held=$(docker image inspect --format "{{ index .Config.Labels \"$LABEL\" }}" "$TAG" 2>/dev/null); then
        if [[ -z $held || $held == '<no value>' || $held == "$digest" ]]; then
            say "image: $TAG is there"
            return
        fi
        say "image: the certificates of this machine have changed"
    elif timeout 300 docker pull -q "$TAG" >/dev/null 2>&1; then
        say "image: $TAG pulled"
        return
    fi
    [[ $TAG != *@* ]] || fail "$TAG could not be pulled" 'an image with that digest cannot be made here'
    WORK=$(mktemp -d)
    trap clean_up EXIT
    if ! docker image inspect "$ROOTFS" >/dev/null 2>&1; then
        say "image: making $TAG from Debian packages (a minute or two)"
        make_rootfs
    fi
    add_certificates "$digest"
    docker run --rm --network none --read-only --tmpfs /tmp "$TAG" \
        sh -c 'python -m pip --version && python -c "import ctypes, sqlite3, ssl, venv, zlib"' >/dev/null ||
        fail "the image that was made for $TAG does not run Python"
    say "image: $TAG made"
}

make_rootfs() {
    local root=$WORK/root mirror=${BENCH_DEBIAN_MIRROR:-$(first_mirror)}
    [[ -n $mirror ]] || fail "apt names no mirror to fetch $SUITE from" 'set BENCH_DEBIAN_MIRROR'
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
        "$SUITE" "$root" "$mirror" >"$WORK/log" 2>&1 9>&- || {
        tail -n 15 "$WORK/log" >&2
        fail "debootstrap could not fetch $SUITE from $mirror" 'set BENCH_DEBIAN_MIRROR to a Debian mirror'
    }
    # What Dockerfiles expect of a Python image: `python`, and a pip that installs where it is told.
    ln -s /usr/bin/python3 "$root/usr/local/bin/python"
    rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
    # Nothing of this machine and nothing that no container reads.
    rm -rf "$root/etc/hostname" "$root/etc/resolv.conf" "$root"/var/{cache/apt,lib/apt/lists,log}/* \
        "$root"/usr/share/{doc,info,locale,man}/*
    tar -C "$root" --numeric-owner -c . | docker import --change 'ENV LANG=C.UTF-8' --change 'CMD ["python"]' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$ROOTFS" >/dev/null
}

first_mirror() {
    cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        awk '$1 == "URIs:" { print $2; exit }
             $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ "://") { print $i; exit } }' || true
}

# A layer of its own, which takes a second to renew.
add_certificates() {
    local context=$WORK/context
    mkdir -p "$context/etc/ssl/certs"
    cp "$CERTIFICATES" "$context$CERTIFICATES"
    cat >"$context/etc/pip.conf" <<EOF
[global]
cert = $CERTIFICATES
disable-pip-version-check = true
root-user-action = ignore
EOF
    cat >"$context/Dockerfile" <<EOF
FROM $ROOTFS
COPY etc/ /etc/
LABEL $LABEL=$1
EOF
    # The classic builder: BuildKit would need a plugin that Debian does not have.
    DOCKER_BUILDKIT=0 docker build -q -t "$TAG" "$context" >/dev/null 2>"$WORK/log" || {
        tail -n 15 "$WORK/log" >&2
        fail "docker could not build $TAG"
    }
}

clean_up() {
    # A debootstrap that was cut off may have left these mounted.
    umount -l "$WORK/root/proc" "$WORK/root/sys" 2>/dev/null || true
    rm -rf --one-file-system "$WORK"
}

main "$@"
