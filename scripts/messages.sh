# shellcheck shell=bash
# How the scripts speak: always on stderr, so that stdout is left for answers.

say() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# fail STATUS WHAT WHY NEXT
fail() {
  say "$2"
  printf '  why:  %s\n  next: %s\n' "$3" "$4" >&2
  exit "$1"
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# Runs a talkative command; its output is shown only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" </dev/null >"$log" 2>&1 || status=$?
  [ "$status" -eq 0 ] || tail -n 30 "$log" >&2
  rm -f "$log"
  return "$status"
}

# One run at a time per FILE. The kernel frees the lock when the holder dies, so it is never stale.
hold_lock() {
  has flock || return 0
  exec 9<"$1"
  flock 9
}

digest() {
  if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -c1-12
}

# install_packages NAME...: from the distribution, as root on Debian and Ubuntu.
install_packages() {
  quietly apt-get -o DPkg::Lock::Timeout=120 update || say "apt-get update failed; trying with the lists at hand"
  quietly env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
    install --yes --no-install-recommends "$@"
}
