#!/usr/bin/env bash
# Makes sure that the programs are there which the offline twin (tests/twin) and tests run:
#   scripts/_debian.sh docker dockerd iptables debootstrap
# installs Debian's packages of those that are missing, and does nothing where none is. Only
# root can; everyone else is told in one sentence what is missing.
set -euo pipefail
# Where the programs of root lie; a user's PATH may lack it.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

package() {
  case "$1" in
    # Newer releases ship the command apart from the engine.
    docker) if apt-cache show docker-cli 2>/dev/null | grep -q '^Filename:'; then echo docker-cli; else echo docker.io; fi ;;
    dockerd) echo docker.io ;;
    ip) echo iproute2 ;;
    # debootstrap checks signatures with it.
    gpgv) echo gpgv ;;
    sshd) echo openssh-server ;;
    ssh) echo openssh-client ;;
    *) echo "$1" ;;
  esac
}

missing=()
for name in "$@"; do
  command -v "$name" >/dev/null || missing+=("$name")
  if [ "$name" = debootstrap ]; then
    command -v gpgv >/dev/null || command -v sqv >/dev/null || missing+=(gpgv)
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

# With an engine of the user's own nothing else is needed for the twin; for SSH there is no such way.
if [[ " ${missing[*]} " == *" sshd "* || " ${missing[*]} " == *" ssh "* ]]; then
  what="A test over SSH" instead=""
elif [[ " ${missing[*]} " == *" cron "* ]]; then
  what="A test of boots" instead=""
elif [[ " ${missing[*]} " == *" faketime "* ]]; then
  what="A test of wrong clocks" instead=""
else
  what="The offline twin" instead=", or start a Docker engine that this user may use and that reaches a registry"
fi

if ! command -v apt-get >/dev/null; then
  printf '%s needs %s; install it and run this again%s.\n' "$what" "${missing[*]}" "$instead" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  printf '%s needs %s, which only root can install; run this as root%s.\n' "$what" "${missing[*]}" "$instead" >&2
  exit 1
fi

echo "Installing Debian's packages for ${missing[*]} ..."
declare -r policy=/usr/sbin/policy-rc.d
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
install() {
  local name packages=()
  timeout 300 apt-get -q update || return 1
  # What is installed for a test must not serve this machine: daemons that the packages would start.
  if [[ " ${missing[*]} " == *" sshd "* || " ${missing[*]} " == *" cron "* ]] && [ ! -e $policy ]; then
    trap 'rm -f "$log" "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  for name in "${missing[@]}"; do
    packages+=("$(package "$name")")
  done
  timeout 900 apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${packages[@]}"
}
if ! install >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  printf 'Debian packages for %s could not be installed; install them by hand and run this again.\n' "${missing[*]}" >&2
  exit 1
fi
