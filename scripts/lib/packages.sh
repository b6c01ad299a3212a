# shellcheck shell=bash
# Debian and Ubuntu packages, and what is built on them. Needs say.sh.

have() { command -v "$1" >/dev/null 2>&1; }

require_root() {
  [ "$(id -u)" = 0 ] || die "this needs root rights" "Run it again as root: sudo $0"
}

apt_index_read=''

# install_packages PACKAGE... — only those that are missing.
install_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ "${#missing[@]}" = 0 ] && return
  require_root
  have apt-get || die "apt-get is not here" "These scripts know Debian and Ubuntu. Install by hand: ${missing[*]}"
  step "Installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if [ -z "$apt_index_read" ]; then
    # A source that cannot be reached must not stop the others: the install says what is really missing.
    quietly apt-get update -q || note "apt-get update was incomplete; trying with the package lists that are here"
    apt_index_read=1
  fi
  quietly apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" ||
    die "could not install ${missing[*]}" "Check the package sources and the network, then run this again."
}

# command_from COMMAND PACKAGE... — installs the packages unless the command is there already, wherever it came from.
command_from() {
  local command=$1
  shift
  have "$command" || install_packages "$@"
}

# Node and npm, for what runs on this machine (not in containers).
ensure_node() {
  local least=$1 found=0
  if have node; then found=$(node -p 'process.versions.node.split(".")[0]'); fi
  if [ "$found" -lt "$least" ]; then
    [ "$found" = 0 ] || note "Node $found is here, $least or newer is needed"
    install_packages nodejs
    found=$(node -p 'process.versions.node.split(".")[0]')
    [ "$found" -ge "$least" ] || die "Node $least or newer is needed, $found is what the distribution has" \
      "Install a newer Node and run this again."
  fi
  command_from npm npm
}

# The Rust toolchain: whatever is there if it is new enough for the workspace, rustup's otherwise.
ensure_rust() {
  local root=$1 wanted found=''
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  install_packages gcc libc6-dev make pkg-config
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  if have cargo && have rustc; then found=$(rustc --version 2>/dev/null | cut -d' ' -f2); fi
  if [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]; then return; fi
  if [ -n "$found" ]; then note "Rust $found is here, $wanted or newer is needed"; fi
  command_from curl curl ca-certificates
  step "Installing Rust with rustup (once, about 300 MB)"
  if have rustup; then
    quietly rustup toolchain install stable --profile minimal --component rustfmt,clippy || die "rustup could not install a toolchain" \
      "Install Rust $wanted or newer and run this again."
    export RUSTUP_TOOLCHAIN=stable
  else
    local installer
    installer=$(mktemp)
    curl --proto '=https' --tlsv1.2 -sSf --max-time 120 -o "$installer" https://sh.rustup.rs ||
      die "Rust's installer cannot be downloaded" "Install Rust $wanted or newer (https://rustup.rs) and run this again."
    quietly sh "$installer" -y --no-modify-path --profile minimal --component rustfmt,clippy ||
      die "Rust's installer failed" "Install Rust $wanted or newer (https://rustup.rs) and run this again."
    rm -f "$installer"
    PATH="$HOME/.cargo/bin:$PATH"
  fi
}
