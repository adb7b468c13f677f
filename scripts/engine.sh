# shellcheck shell=bash
# Asks the engine that DOCKER_HOST names. Needs messages.sh.

default_engine=unix:///var/run/docker.sock

# Plain sockets are asked without the docker client: not every machine has it.
engine_answers() {
  local host=${DOCKER_HOST:-$default_engine}
  case $host in
    unix://*) ping_engine http://localhost --unix-socket "${host#unix://}" ;;
    tcp://*) if [ -n "${DOCKER_TLS_VERIFY:-}" ]; then ask_client; else ping_engine "http://${host#tcp://}"; fi ;;
    *) ask_client ;;
  esac
}

ping_engine() {
  if has curl; then
    curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "${@:2}" "$1/_ping"
  else
    ask_client
  fi
}

ask_client() {
  has docker && docker version >/dev/null 2>&1
}
