# shellcheck shell=bash
# The Docker engine: there, running, reachable. Needs say.sh and packages.sh.

docker_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# wait_for_docker SECONDS
wait_for_docker() {
  local left=$1
  until docker_answers; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 1
  done
}

# Installs the distribution's engine if there is none, and starts a daemon if none answers.
# DOCKER_HOST, when set, names an engine that is somebody else's to install and start.
ensure_docker() {
  if have docker && docker_answers; then return; fi
  if [ -n "${DOCKER_HOST:-}" ]; then
    command_from docker docker.io
    wait_for_docker 10 || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" \
      "Start it, or unset DOCKER_HOST to use this machine's own."
    return
  fi
  command_from dockerd docker.io iptables
  # Where the distribution ships the command line on its own, docker.io does not bring it.
  have docker || install_packages docker-cli
  # A kernel that confines containers with AppArmor needs its parser.
  if grep -qsx Y /sys/module/apparmor/parameters/enabled; then command_from apparmor_parser apparmor; fi
  require_root
  docker_answers && return
  if [ -d /run/systemd/system ]; then
    step "Starting Docker with systemd"
    quietly systemctl start docker || die "systemd could not start Docker" "See: journalctl -u docker"
    wait_for_docker 60 || die "Docker does not answer" "See: journalctl -u docker"
  else
    start_dockerd
  fi
}

# The daemon that this script started itself, if it did.
dockerd_pid=''

# Without systemd: a daemon of its own session, which outlives this script unless stop_dockerd is called.
start_dockerd() {
  local log=${LAUNCHER_DOCKERD_LOG:-/var/log/dockerd.log}
  step "Starting Docker in the background (log: $log)"
  # A pid file of a machine that was switched off hard would keep the new daemon from starting.
  if [ -f /var/run/docker.pid ] && ! grep -qs dockerd "/proc/$(cat /var/run/docker.pid)/cmdline"; then
    rm -f /var/run/docker.pid
  fi
  mount_cgroups
  setsid dockerd >>"$log" 2>&1 </dev/null &
  dockerd_pid=$!
  if wait_for_docker 60; then return; fi
  tail -n 20 "$log" >&2
  die "Docker does not start" "The last lines of $log are above."
}

# Ends the daemon that start_dockerd started, and no other.
stop_dockerd() {
  [ -n "$dockerd_pid" ] || return 0
  kill -TERM "$dockerd_pid" 2>/dev/null || true
  wait "$dockerd_pid" 2>/dev/null || true
  dockerd_pid=''
}

# Minimal machines have no control groups mounted, and the daemon needs them.
mount_cgroups() {
  if mountpoint -q /sys/fs/cgroup || [ -n "$(ls -A /sys/fs/cgroup 2>/dev/null)" ]; then return; fi
  if grep -qw cgroup2 /proc/filesystems; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || note "could not mount /sys/fs/cgroup"
  fi
}

# What docker build is called with: the classic builder is on every engine from 20.10 on, buildx is a plug-in.
docker_build() { DOCKER_BUILDKIT=0 docker build "$@"; }

image_exists() { docker image inspect "$1" >/dev/null 2>&1; }
