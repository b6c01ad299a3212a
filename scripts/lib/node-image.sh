# shellcheck shell=bash
# The images that apps are built on. Needs say.sh, packages.sh, docker.sh, and the root of the checkout in $repository.
#
# LAUNCHER_NODE_IMAGE names them, with {major} for Node's major version. Where such an image can be pulled, it is pulled;
# otherwise an equivalent is made from Debian's and npm's packages and gets the same name.

node_image_pattern=${LAUNCHER_NODE_IMAGE:-'node:{major}-bookworm-slim'}
node_image_pull_seconds=${LAUNCHER_NODE_IMAGE_PULL_SECONDS:-180}
node_image_base=meteor-launcher/debian-base:bookworm
: "${repository:?the root of the checkout}"

node_image_name() { printf '%s\n' "${node_image_pattern//'{major}'/$1}"; }

# ensure_node_image MAJOR
ensure_node_image() {
  local major=$1 image
  [[ $major =~ ^[0-9]+$ ]] || die "\"$major\" is not a major version of Node" "Say for example: 22"
  image=$(node_image_name "$major")
  if image_exists "$image"; then return; fi
  step "Getting the base image $image"
  if timeout "$node_image_pull_seconds" docker pull --quiet "$image" >/dev/null 2>&1; then
    note "pulled"
    return
  fi
  note "it cannot be pulled from here; making an equivalent from Debian's and npm's packages"
  install_packages debootstrap debian-archive-keyring ca-certificates
  command_from npm npm
  make_debian_base
  make_node_image "$major" "$image"
  note "made $image: Debian bookworm, Node $(docker run --rm --network none "$image" node --version), not the official image"
}

# A minimal Debian with what official slim images have; made once and shared by all versions of Node.
make_debian_base() {
  if image_exists "$node_image_base"; then return; fi
  step "Making a minimal Debian with debootstrap (once, about a minute)"
  local root
  root=$(mktemp -d /var/tmp/meteor-launcher-base.XXXXXX)
  if ! quietly debootstrap --variant=minbase --include=ca-certificates,libstdc++6,libatomic1,tzdata,netbase bookworm "$root"; then
    tail -n 20 "$root/debootstrap/debootstrap.log" >&2 2>/dev/null || true
    rm -rf --one-file-system "$root"
    die "debootstrap failed" "Debian's packages must be reachable; its log is above."
  fi
  rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/debootstrap
  # Documentation goes, licences stay.
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  : >"$root/etc/resolv.conf"
  printf 'localhost\n' >"$root/etc/hostname"
  tar -C "$root" --numeric-owner --one-file-system -c . |
    docker import --change 'CMD ["bash"]' --change 'LABEL launcher.stand-in=debian:bookworm-slim' - "$node_image_base" >/dev/null ||
    die "Docker did not take the new base image" "Check the disk with: df -h"
  rm -rf --one-file-system "$root"
}

# make_node_image MAJOR IMAGE
make_node_image() {
  local major=$1 image=$2 work
  work=$(mktemp -d)
  unpack_npm_package "node-linux-$(node_architecture)@$major" "$work/package"
  unpack_npm_package "npm@$(npm_for_node "$major")" "$work/npm"
  mkdir -p "$work/node/bin" "$work/ca-certificates"
  mv "$work/package/bin/node" "$work/node/bin/node"
  rm -rf "$work/package"
  machine_certificates "$work/ca-certificates"
  cp "$repository/docker/node-base/Dockerfile" "$work/Dockerfile"
  quietly docker_build --build-arg "BASE=$node_image_base" --label "launcher.stand-in=$image" --tag "$image" "$work" ||
    die "could not build $image" "Docker's output is above."
  rm -rf "$work"
}

node_architecture() {
  case $(dpkg --print-architecture) in
    amd64) echo x64 ;;
    arm64) echo arm64 ;;
    *) die "npm has no Node binary for $(dpkg --print-architecture)" "Set LAUNCHER_NODE_IMAGE to an image that you have." ;;
  esac
}

# The npm that each Node came with.
npm_for_node() {
  if [ "$1" -lt 15 ]; then echo 6
  elif [ "$1" -lt 18 ]; then echo 8
  elif [ "$1" -lt 24 ]; then echo 10
  else echo 11; fi
}

# unpack_npm_package SPEC FOLDER
unpack_npm_package() {
  local spec=$1 folder=$2 archive
  mkdir -p "$folder"
  archive=$(cd "$folder" && npm pack --silent "$spec" 2>/dev/null | tail -n 1) || archive=''
  [ -n "$archive" ] || die "npm has no package $spec, or its registry cannot be reached" "Try: npm view $spec version"
  tar -C "$folder" --strip-components=1 --no-same-owner -xzf "$folder/$archive"
  rm -f "${folder:?}/$archive"
}

# The certificates that this machine trusts beyond Debian's own, so that what runs in containers can reach what it reaches.
machine_certificates() {
  local folder=$1
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp -L -t "$folder" {} + 2>/dev/null || true
  if [ -f "${NODE_EXTRA_CA_CERTS:-}" ] && [ "$NODE_EXTRA_CA_CERTS" != /etc/ssl/certs/ca-certificates.crt ]; then
    cp -L "$NODE_EXTRA_CA_CERTS" "$folder/node-extra-ca-certs.crt"
  fi
}
