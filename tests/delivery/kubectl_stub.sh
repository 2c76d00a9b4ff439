#!/bin/bash
# A kubectl that answers like a cluster in the state that $STUB describes, and writes its calls to $STUB/calls.
# Renders with the real one. Files in $STUB: `secret-KEY` (values), `image` (what runs), `no-namespace`, `no-cluster`,
# `no-secret`, `diff-status`, `apply-fails`, `rollout-fails`, `undo-fails`, `revision` (before; +1 after an apply).
printf '%s\n' "$*" >>"$STUB/calls"
args=()
for argument in "$@"; do
  case $argument in --request-timeout=*) ;; *) args+=("$argument") ;; esac
done
set -- "${args[@]}"
has() { [ -e "$STUB/$1" ]; }
refuse() {
  printf 'Error from server: %s\n' "$*" >&2
  exit 1
}
case "$1 $2" in
  'kustomize '*) exec "$REAL_KUBECTL" "$@" ;;
  'config current-context') echo stub-cluster ;;
  'get --raw') has no-cluster && refuse 'connection refused' || echo '{}' ;;
  'get namespace') has no-namespace && refuse "namespaces \"$3\" not found" || echo "$3 Active" ;;
  'get secret')
    has no-secret && refuse "secrets \"$3\" not found"
    case "$*" in
      *resourceVersion*) echo 4711 ;;
      *)
        [[ "$*" =~ index\ \.\ \"([A-Z_]+)\" ]] || refuse "unexpected: $*"
        cat "$STUB/secret-${BASH_REMATCH[1]}" 2>/dev/null
        exit 0
        ;;
    esac
    ;;
  'get deployment')
    case "$*" in
      *revision*) cat "$STUB/revision" 2>/dev/null ;;
      *) cat "$STUB/image" 2>/dev/null ;;
    esac
    exit 0
    ;;
  'diff '*)
    echo 'diff: + replaced'
    exit "$(cat "$STUB/diff-status" 2>/dev/null || echo 1)"
    ;;
  'apply '*)
    has apply-fails && refuse 'admission denied'
    for argument in "$@"; do
      case $argument in
        --filename=*) cp "${argument#--filename=}" "$STUB/applied.yaml" ;;
        --dry-run=server) exit 0 ;;
      esac
    done
    case "$*" in *namespace.yaml* | *secret.yaml*) exit 0 ;; esac
    touch "$STUB/was-applied"
    [ ! -e "$STUB/revision" ] || echo $(($(cat "$STUB/revision") + 1)) >"$STUB/revision"
    [ -e "$STUB/revision" ] || echo 1 >"$STUB/revision"
    ;;
  'rollout status')
    if has rollout-fails && ! has was-undone; then
      echo 'error: timed out waiting for the condition' >&2
      exit 1
    fi
    if has was-undone && has undo-fails; then exit 1; fi
    echo 'successfully rolled out'
    ;;
  'create secret')
    for argument in "$@"; do
      case $argument in --from-env-file=*) cp "${argument#--from-env-file=}" "$STUB/written.env" ;; esac
    done
    echo 'kind: stub'
    ;;
  'rollout undo') touch "$STUB/was-undone" ;;
  'get pods' | 'get events' | 'logs '*) echo "stub $1 ${2-}" ;;
  *) refuse "unexpected call: $*" ;;
esac
