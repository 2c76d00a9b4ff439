#!/usr/bin/env bash
# One deployment from the workflow deploy.yml. All values come from the environment, and none of the secret ones is
# ever an argument or part of the output.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
for name in KUBE_CONFIG LABEL_STUDIO_URL LABEL_STUDIO_API_TOKEN; do
  [ -n "${!name-}" ] || missing+=("$name")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "::error::missing secrets: ${missing[*]}. Add them under Settings > Environments > $ENVIRONMENT > Secrets"
  exit 1
fi
case $ENVIRONMENT in
  staging) namespace=rtmlib-staging ;;
  production) namespace=rtmlib ;;
  *)
    echo "::error::unknown environment: staging or production?"
    exit 1
    ;;
esac

# deploy.sh may take this long twice; the job has 100 minutes.
case $TIMEOUT in
  [1-9]m | [1-3][0-9]m | 4[0-5]m | [1-9]s | [1-9][0-9]s) ;;
  *)
    echo "::error::timeout $TIMEOUT: expected 1m to 45m"
    exit 1
    ;;
esac

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KUBECONFIG=$work/kubeconfig
# shellcheck disable=SC2153 # KUBE_CONFIG is the secret, KUBECONFIG the file
if ! base64 --decode <<<"$KUBE_CONFIG" >"$KUBECONFIG" 2>/dev/null || ! [ -s "$KUBECONFIG" ]; then
  echo "::error::KUBE_CONFIG is not base64. To make it: base64 < ~/.kube/config"
  exit 1
fi
unset KUBE_CONFIG

# Credentials of one namespace may not change the namespace object, which is somebody else's then.
if ! kubectl apply --server-side --field-manager=rtmlib-deploy --filename="k8s/overlays/$ENVIRONMENT/namespace.yaml" \
  2>"$work/stderr"; then
  case $(cat "$work/stderr") in
    *orbidden*) echo "::notice::The credentials may not change namespace $namespace, which is left as it is." ;;
    *)
      cat "$work/stderr" >&2
      exit 1
      ;;
  esac
fi

# A line of NAME=value each; a line break in a value would begin a new name.
env_file() {
  local name
  for name in LABEL_STUDIO_URL LABEL_STUDIO_API_TOKEN BASIC_AUTH_USER BASIC_AUTH_PASS; do
    if [ -n "${!name-}" ]; then
      case ${!name} in *$'\n'*)
        echo "::error::$name holds a line break" >&2
        return 1
        ;;
      esac
      printf '%s=%s\n' "$name" "${!name}"
    fi
  done
}
env_file >"$work/secret.env"
kubectl create secret generic rtmlib-ml-backend-secrets --namespace="$namespace" \
  --from-env-file="$work/secret.env" --dry-run=client --output=yaml >"$work/secret.yaml"
kubectl apply --server-side --force-conflicts --field-manager=rtmlib-deploy --filename="$work/secret.yaml"
unset LABEL_STUDIO_API_TOKEN BASIC_AUTH_PASS

./deploy.sh "$ENVIRONMENT" --image "$IMAGE" --timeout "$TIMEOUT"
