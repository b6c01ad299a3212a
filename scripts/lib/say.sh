# shellcheck shell=bash
# How the scripts talk: progress on standard error, so that standard output stays usable.

if [ -t 2 ]; then
  say_bold=$'\e[1m' say_red=$'\e[31m' say_dim=$'\e[2m' say_off=$'\e[0m'
else
  say_bold='' say_red='' say_dim='' say_off=''
fi

# A new step: what happens now, and why it may take a while.
step() { printf '%s==> %s%s\n' "$say_bold" "$*" "$say_off" >&2; }

# Something worth knowing inside a step.
note() { printf '    %s%s%s\n' "$say_dim" "$*" "$say_off" >&2; }

# The end: what failed, then what to do about it, one line each.
die() {
  printf '%serror: %s%s\n' "$say_red" "$1" "$say_off" >&2
  shift
  local line
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# Runs a noisy command with its output in a file; shows the end of it only when the command fails.
quietly() {
  local out status=0
  out=$(mktemp)
  "$@" >"$out" 2>&1 </dev/null || status=$?
  if [ "$status" != 0 ]; then
    printf '    %s\n' "failed (exit $status): $*" >&2
    tail -n 40 "$out" >&2
  fi
  rm -f "$out"
  return "$status"
}
