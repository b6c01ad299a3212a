# shellcheck shell=bash
# The launcher's process for the demo, and its DDP methods. Needs say.sh, packages.sh and the root of the checkout in $repository.

: "${repository:?the root of the checkout}"

# The same variables, with the same defaults, as the binary's.
launcher_port=${PORT:-8080}
launcher_proxy=${LAUNCHER_PROXY_LISTEN:-127.0.0.1:8000}
launcher_data=${LAUNCHER_DATA_DIR:-$repository/launcher-data}
launcher_binary=${CARGO_TARGET_DIR:-$repository/target}/release/meteor-launcher
launcher_url=http://127.0.0.1:$launcher_port
launcher_log=$launcher_data/launcher.log
launcher_pid_file=$launcher_data/launcher.pid

build_launcher() {
  step "Building the launcher (the first time takes some minutes)"
  (cd "$repository" && cargo build --release --locked --bin meteor-launcher) ||
    die "the launcher does not build" "The compiler's messages are above."
}

# Answers whether a launcher is there, healthy or not.
launcher_answers() { curl -s --max-time 10 "$launcher_url/health" | grep -q '"engine"'; }

# from_health FIELD — a text of the health document: "launcher" is the id that its containers carry, "proxy" the proxy's address.
from_health() { curl -s --max-time 10 "$launcher_url/health" | sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }

launcher_is_healthy() { curl -sf --max-time 10 "$launcher_url/health" | grep -q '"engine"'; }

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The id of the launcher whose records are in the data directory. Nothing when there are none.
recorded_launcher() {
  local database=$launcher_data/launcher.db
  [ -f "$database" ] || return 0
  /usr/bin/python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT id FROM launcher").fetchone()[0])' \
    "$database" 2>/dev/null || die "$database does not tell which launcher it belongs to" "Remove $launcher_data by hand if it is of no use."
}

# Whether any launcher, on whatever port, has the data directory open.
data_is_in_use() { [ -f "$launcher_data/launcher.lock" ] && ! flock --nonblock "$launcher_data/launcher.lock" true; }

# Ports that nobody uses, for a launcher that is started only to be asked.
use_free_ports() {
  local proxy_port
  read -r launcher_port proxy_port < <(/usr/bin/python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')
  launcher_url=http://127.0.0.1:$launcher_port
  launcher_proxy=127.0.0.1:$proxy_port
}

# The launcher that the demo started, if it lives: prints its process id.
running_launcher() {
  local pid
  [ -f "$launcher_pid_file" ] || return 1
  pid=$(cat "$launcher_pid_file")
  [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$launcher_binary")" ] || return 1
  printf '%s\n' "$pid"
}

# Starts it in a session of its own, so that a Ctrl-C meant for the script does not cut it off; sets launcher_pid.
start_launcher() {
  if data_is_in_use; then
    die "a launcher that uses $launcher_data runs already, on another port than ${PORT:-8080}" "Say its port: PORT=8090 $0"
  fi
  if port_is_taken "$launcher_port"; then
    die "port $launcher_port is taken by something else" "Choose another: PORT=8090 $0"
  fi
  if port_is_taken "${launcher_proxy##*:}"; then
    die "port ${launcher_proxy##*:} is taken by something else" "Choose another: LAUNCHER_PROXY_LISTEN=127.0.0.1:8100 $0"
  fi
  step "Starting the launcher (log: $launcher_log)"
  if [ ! -d "$launcher_data" ]; then
    install -d -m 0700 "$launcher_data"
    : >"$launcher_data/made-by-the-demo"
  fi
  PORT=$launcher_port LAUNCHER_PROXY_LISTEN=$launcher_proxy LAUNCHER_DATA_DIR=$launcher_data \
    setsid "$launcher_binary" serve --allow-private-sources --insecure-no-auth >>"$launcher_log" 2>&1 </dev/null &
  launcher_pid=$!
  printf '%s\n' "$launcher_pid" >"$launcher_pid_file"
  local left=120
  until launcher_is_healthy; do
    left=$((left - 1))
    if [ "$left" = 0 ] || ! kill -0 "$launcher_pid" 2>/dev/null; then
      tail -n 20 "$launcher_log" >&2
      stop_launcher "$launcher_pid"
      die "the launcher does not get healthy" "The end of its log is above."
    fi
    sleep 0.5
  done
}

# Ends a launcher by its process id; its containers go on.
stop_launcher() {
  local pid=$1 left=300
  kill -TERM "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null && [ "$left" -gt 0 ]; do
    # A child of this shell stays a zombie until it is waited for.
    if grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status"; then break; fi
    sleep 0.1
    left=$((left - 1))
  done
  wait "$pid" 2>/dev/null || true
  rm -f "$launcher_pid_file"
  launcher_pid=''
}

launcher_pid=''

ddp() { /usr/bin/python3 "$repository/scripts/lib/ddp.py" "ws://127.0.0.1:$launcher_port/websocket" "$@"; }

# The id of the app instance that has this hostname, with its status: "<id> <status>". Nothing when there is none.
instance_with_hostname() {
  ddp instances | awk -F '\t' -v hostname="$1" '{ n = split($4, names, " "); for (i = 1; i <= n; i++) if (names[i] == hostname) print $1, $2 }'
}
