# What the shell of TestPages has beside bash: see pages_test.go.
set -o pipefail
declare -A ANSWERS
SERVER= SERVERS=()
: >"$OUT" >"$HEADERS" >"$LOG"

# start runs a server as in another terminal, and shows what it printed once it
# is ready.
start() {
  "$PROGRAM" "$@" >"$LOG" 2>&1 &
  SERVER=$!
  SERVERS+=("$SERVER")
  local n
  for n in $(seq 200); do
    if grep -qE 'is ready|is protected' "$LOG"; then
      sleep 0.1 # the rest of the announcement
      cat "$LOG"
      return 0
    fi
    kill -0 "$SERVER" 2>/dev/null || break
    sleep 0.1
  done
  cat "$LOG"
  return 1
}

ctrl_c() { kill -INT "$SERVER" && wait "$SERVER"; }

# finish ends whatever a page left running.
finish() {
  local pid
  for pid in "${SERVERS[@]}"; do
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
}
trap finish EXIT

gatehouse() {
  case "${1-}" in
  demo | protect) start "$@" --listen "$AUTH" --gateway "$GATEWAY" ;;
  serve) start "$@" ;;
  init) "$PROGRAM" "$@" --listen "$AUTH" --gateway "$GATEWAY" ;;
  *)
    local c
    for c in "${!ANSWERS[@]}"; do
      if [[ "gatehouse $*" == "$c"* ]]; then
        printf '%s' "${ANSWERS[$c]}" | "$PROGRAM" "$@"
        return
      fi
    done
    "$PROGRAM" "$@"
    ;;
  esac
}

# answer COMMAND LINE…: what is typed when COMMAND asks.
answer() {
  local c=$1
  shift
  ANSWERS[$c]=$(printf '%s\n' "$@")$'\n'
}

# recorded ID: decisions reach the log a moment after the answer.
recorded() {
  local n
  for n in $(seq 50); do
    "$PROGRAM" explain "$1" >/dev/null 2>&1 && return
    sleep 0.1
  done
  return 1
}

curl() { command curl -sS --fail-with-body --max-time 10 -D "$HEADERS" "$@"; }

# after STATUS WANT COMMAND: was that what the page promised?
after() {
  local got=$1 want=$2 command=$3 status
  status=$(grep -aE '^HTTP/' "$HEADERS" | tail -n 1 | cut -d' ' -f2)
  case "$want" in
  '') [ "$got" = 0 ] && return ;;
  refused) [ "$got" != 0 ] && return ;;
  *) [ "$status" = "$want" ] && return ;;
  esac
  {
    echo "FAILED: $command"
    echo "exit code $got, HTTP status ${status:-none}; promised: ${want:-success}"
    cat "$OUT"
    [ -s "$LOG" ] && echo "--- server" && tail -n 5 "$LOG"
  } >&2
  exit 1
}
