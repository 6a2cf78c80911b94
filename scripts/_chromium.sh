#!/usr/bin/env bash
# Makes sure that a Chromium is installed: the test of the project page and
# scripts/screenshot drive it. Does nothing where there is one. Only root can install
# Debian's package; everyone else is told what to do.
set -euo pipefail

# Keep in step with BROWSERS in _browser.py.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then
    exit 0
  fi
done

advice="A browser is missing; install Chromium (Debian: sudo apt-get install chromium) and run this again."
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "$advice" >&2
  exit 1
fi

echo "Installing Debian's chromium ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get -q update &&
    timeout 900 apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends chromium
}
if ! install >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "$advice" >&2
  exit 1
fi
