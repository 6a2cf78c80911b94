# shellcheck shell=bash
# Finds a Python that works, for scripts/quickstart, scripts/test and scripts/lock.
# Source it, then
#   python=$(find_python 3.11 3.12 3.13 any) || exit 1
# prints the path of the first of these versions that runs ("any": any from 3.11 on), or
# says in one sentence on stderr what is missing and how to get it.
# MLFLOW_AWS_PYTHON, a command or a path, takes the place of the search.

# Being on the PATH proves nothing (pyenv's shims are there for versions that are not
# chosen, Debian's python3 comes without ensurepip), so each candidate is run.
_python_probe() {
  "$1" -I -c '
import sys
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit("old " + version)
try:
    import ctypes, ensurepip, sqlite3, ssl, venv
except ImportError as error:
    sys.exit("lacks %s %s" % (version, error.name or error))
print(version + " " + sys.executable)
' 2>&1 </dev/null
}

# The places where Python $1 may be: under its own name, then under the general ones.
_python_candidates() {
  local name root names="python3 python"
  if [ "$1" = any ]; then
    for name in $(compgen -c python3.); do
      [[ ! $name =~ ^python3\.[0-9]+$ ]] || names="$names $name"
    done
  else
    names="python$1 $names"
  fi
  for name in $names; do
    type -ap "$name" || true
  done
  root=${PYENV_ROOT:-${HOME:-}/.pyenv}
  compgen -G "$root/versions/${1#any}*/bin/python" || true
}

# Print the path if candidate $1 works and is version $2; otherwise remember why not.
_python_try() {
  local answer
  answer=$(_python_probe "$1") || {
    case "$answer" in
      lacks\ *) _python_lacks=${_python_lacks:-"$1 ${answer#lacks }"} ;;
      old\ *) _python_old=${_python_old:-"$1 ${answer#old }"} ;;
    esac
    return 1
  }
  case "$2 $answer" in
    "any "*" /"* | "${answer%% *} "*" /"*) printf '%s\n' "${answer#* }" ;;
    *) return 1 ;;
  esac
}

# The one sentence of a failed search for the versions $*.
_python_missing() {
  local where version module wanted get
  wanted=$(printf ' or %s' "$@")
  wanted="Python ${wanted# or }"
  wanted=${wanted/%any/newer}
  get="(on Debian and Ubuntu: apt-get install python3 python3-venv)"
  if [ -n "$_python_lacks" ]; then
    read -r where version module <<<"$_python_lacks"
    printf '%s (Python %s) lacks the module %s; install it (on Debian and Ubuntu: apt-get install python%s-venv) and run this again.\n' \
      "$where" "$version" "$module" "$version"
  elif [ -n "$_python_old" ]; then
    read -r where version <<<"$_python_old"
    printf '%s is needed and %s is %s; install one %s and run this again.\n' \
      "$wanted" "$where" "$version" "$get"
  else
    printf '%s is needed and none was found; install one %s and run this again.\n' "$wanted" "$get"
  fi >&2
}

find_python() {
  local version candidate _python_lacks='' _python_old=''
  if [ -n "${MLFLOW_AWS_PYTHON:-}" ]; then
    _python_try "$MLFLOW_AWS_PYTHON" any && return 0
    printf 'MLFLOW_AWS_PYTHON is %s, which does not run as Python 3.11 or newer with the modules venv and ensurepip; point it at one that does, or unset it.\n' \
      "$MLFLOW_AWS_PYTHON" >&2
    return 1
  fi
  for version in "$@"; do
    while IFS= read -r candidate; do
      _python_try "$candidate" "$version" && return 0
    done < <(_python_candidates "$version")
  done
  _python_missing "$@"
  return 1
}
