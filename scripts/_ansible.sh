# shellcheck shell=bash
# Keeps this user's settings out of what scripts start: Ansible's, Python's, and a locale that does not
# work. For scripts/quickstart, scripts/test, scripts/docs and scripts/lock. Source it in the checkout's
# folder, then
#   private_ansible          drops the variables that configure Ansible or Python, and names a
#                            configuration of our own in place of ~/.ansible.cfg and /etc/ansible
#   utf8_locale PYTHON       sets a locale that Ansible accepts, unless this user's is one

private_ansible() {
  local name
  for name in $(compgen -e); do
    case "$name" in
      # How much is shown, and in which colours, is the user's.
      ANSIBLE_VERBOSITY | ANSIBLE_NOCOLOR | ANSIBLE_FORCE_COLOR | ANSIBLE_DISPLAY_SKIPPED_HOSTS) ;;
      PYTHONDONTWRITEBYTECODE | PYTHONUNBUFFERED) ;;
      ANSIBLE_* | _ANSIBLE_* | PYTHON*) unset "$name" ;;
    esac
  done
  export ANSIBLE_CONFIG=$PWD/scripts/_ansible.cfg
}

# Ansible starts only where all this holds.
_locale_works() {
  env ${2:+"LC_ALL=$2"} "$1" -I -c '
import locale, sys
try:
    locale.setlocale(locale.LC_ALL, "")
    encoding = locale.getlocale()[1] or ""
except (locale.Error, ValueError):
    sys.exit(1)
names = (encoding.lower(), sys.getfilesystemencoding().lower())
sys.exit(not all(name in ("utf-8", "utf8") for name in names))
' 2>/dev/null
}

utf8_locale() {
  local name
  _locale_works "$1" && return
  # macOS may lack the first, a small Linux all but the first.
  for name in C.UTF-8 en_US.UTF-8 $(locale -a 2>/dev/null | grep -i 'utf-\{0,1\}8$' || true); do
    if _locale_works "$1" "$name"; then
      printf '==> Locale: %s, as %s is not a UTF-8 locale of this machine\n' \
        "$name" "${LC_ALL:-${LC_CTYPE:-${LANG:-the one that is set}}}" >&2
      export LC_ALL=$name
      return
    fi
  done
  printf 'Ansible needs a UTF-8 locale and this machine has none; install one (on Debian and Ubuntu: apt-get install locales-all) and run this again.\n' >&2
  return 1
}
