#!/usr/bin/env bash
# Deploys one environment and leaves it running, or says why not and puts the last version back.
# Runs with the bash 3.2 of macOS; needs nothing but kubectl.
set -euo pipefail

readonly IMAGE_NAME=ghcr.io/fhswf/dgs-pg-gruppe-1/rtmlib-ml-backend
readonly DEPLOYMENT=rtmlib-ml-backend
readonly CONTAINER=ml-backend
readonly SECRET=rtmlib-ml-backend-secrets
readonly FIELD_MANAGER=rtmlib-deploy
readonly REQUEST_TIMEOUT=30s

usage() {
  cat <<'USAGE'
Usage: ./deploy.sh staging|production [--image NAME@sha256:DIGEST] [--dry-run] [--timeout 15m]

  --image    the image to run, by digest; without it the one that is running now is kept
  --dry-run  show the difference and let the cluster check the objects, but change nothing
  --timeout  how long the rollout may take before it is undone (default 15m)

The cluster and the credentials are those of the current kubectl context.
USAGE
}

say() { printf '%s\n' "$*"; }

fail() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 1
}

kube() { kubectl --request-timeout="$REQUEST_TIMEOUT" "$@"; }

environment=
image=
dry_run=false
timeout=15m
while [ $# -gt 0 ]; do
  case $1 in
    staging | production)
      [ -z "$environment" ] || fail "one environment at a time: $environment or $1?"
      environment=$1
      ;;
    --image)
      [ $# -ge 2 ] || fail "--image needs a value: NAME@sha256:DIGEST"
      image=$2
      shift
      ;;
    --image=*) image=${1#--image=} ;;
    --timeout)
      [ $# -ge 2 ] || fail "--timeout needs a value such as 15m"
      timeout=$2
      shift
      ;;
    --timeout=*) timeout=${1#--timeout=} ;;
    --dry-run) dry_run=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      fail "unknown argument: $1"
      ;;
  esac
  shift
done
if [ -z "$environment" ]; then
  usage >&2
  fail "which environment: staging or production?"
fi
[[ $timeout =~ ^[1-9][0-9]*[smh]$ ]] || fail "--timeout $timeout: expected a number and s, m or h, such as 15m"

case $environment in
  staging) namespace=rtmlib-staging ;;
  production) namespace=rtmlib ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root environment namespace dry_run timeout

# --- what has to be there -------------------------------------------------------------------------------------

command -v kubectl >/dev/null || fail "kubectl is not installed: https://kubernetes.io/docs/tasks/tools/"
[ -f "$root/k8s/overlays/$environment/kustomization.yaml" ] ||
  fail "k8s/overlays/$environment is missing: run deploy.sh from a complete checkout"
context=$(kubectl config current-context 2>/dev/null) ||
  fail "kubectl has no current context: set KUBECONFIG, or run: kubectl config use-context NAME"
kube get --raw /version >/dev/null ||
  fail "the cluster of context $context does not answer: check the network and the credentials"
say "Cluster $context, namespace $namespace"

kube get namespace "$namespace" >/dev/null ||
  fail "namespace $namespace is missing or not readable. To make it:
  kubectl apply -f k8s/overlays/$environment/namespace.yaml"

secret_command="  read -r LABEL_STUDIO_URL; read -rs LABEL_STUDIO_API_TOKEN
  printf 'LABEL_STUDIO_URL=%s\\nLABEL_STUDIO_API_TOKEN=%s\\n' \"\$LABEL_STUDIO_URL\" \"\$LABEL_STUDIO_API_TOKEN\" |
    kubectl create secret generic $SECRET --namespace $namespace --from-env-file=/dev/stdin --dry-run=client -o yaml |
    kubectl apply --server-side -f -"

# Prints nothing of the values: they end in a shell variable, never in an argument or in the output.
check_secret_key() {
  local key=$1 value
  value=$(kube get secret "$SECRET" --namespace "$namespace" \
    --output "go-template={{with .data}}{{with index . \"$key\"}}{{. | base64decode}}{{end}}{{end}}") ||
    fail "secret $SECRET cannot be read in namespace $namespace. If it is missing, make it:
$secret_command"
  [ -n "$value" ] || fail "secret $SECRET has no $key. To write it:
$secret_command"
  local lower
  lower=$(printf '%s' "$value" | tr '[:upper:]' '[:lower:]')
  case $lower in
    *changeme* | *change-me* | *placeholder* | *your-* | *your_* | *yourdomain* | *example.com* | *example.org* | \
      *'<'* | todo* | dummy* | xxx* | secret | token | test)
      fail "secret $SECRET: $key still holds a placeholder. To write the real one:
$secret_command"
      ;;
  esac
  if [ "$key" = LABEL_STUDIO_URL ]; then
    case $lower in
      http://* | https://*) ;;
      *) fail "secret $SECRET: LABEL_STUDIO_URL has to begin with https:// or http://" ;;
    esac
  fi
}
check_secret_key LABEL_STUDIO_URL
check_secret_key LABEL_STUDIO_API_TOKEN
# A pod reads its secret once, at its start: a new version of the secret has to become a new version of the pods.
secret_version=$(kube get secret "$SECRET" --namespace "$namespace" --output 'jsonpath={.metadata.resourceVersion}')

running_image=$(kube get deployment "$DEPLOYMENT" --namespace "$namespace" --ignore-not-found \
  --output "jsonpath={.spec.template.spec.containers[?(@.name==\"$CONTAINER\")].image}") ||
  fail "deployment $DEPLOYMENT cannot be read in namespace $namespace"
if [ -z "$image" ]; then
  case $running_image in
    *@sha256:*) image=$running_image ;;
    *) fail "nothing is running by digest in $namespace yet: name the image. The digest of a release:
  docker buildx imagetools inspect $IMAGE_NAME:VERSION --format '{{.Manifest.Digest}}'
  ./deploy.sh $environment --image $IMAGE_NAME@sha256:…" ;;
  esac
fi
[[ $image =~ ^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*@sha256:[0-9a-f]{64}$ ]] ||
  fail "--image $image: expected NAME@sha256: and 64 hexadecimal digits. A tag can change its meaning; a digest cannot"

# --- what is to be applied ------------------------------------------------------------------------------------

# kubectl has no `kustomize edit`, so the digest comes in through an overlay over the overlay. It has to lie beside
# the environments: kustomize takes only relative paths.
overlay=$(mktemp -d "$root/k8s/overlays/.deploy.XXXXXX")
trap 'rm -rf "$overlay"' EXIT
cat >"$overlay/kustomization.yaml" <<OVERLAY
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../$environment
images:
  - name: $IMAGE_NAME
    newName: ${image%@*}
    digest: ${image#*@}
patches:
  - target:
      kind: Deployment
      name: ^$DEPLOYMENT\$
    patch: |-
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: $DEPLOYMENT
      spec:
        template:
          metadata:
            annotations:
              rtmlib-ml-backend/secret-version: "$secret_version"
OVERLAY
kubectl kustomize "$overlay" >"$overlay/rendered.yaml" 2>"$overlay/warnings" ||
  fail "k8s/overlays/$environment does not render:
$(cat "$overlay/warnings")"
[ ! -s "$overlay/warnings" ] || fail "k8s/overlays/$environment renders with warnings:
$(cat "$overlay/warnings")"

say "Image $image"
say "Differences to the cluster:"
status=0
kube diff --server-side --force-conflicts --field-manager="$FIELD_MANAGER" --filename="$overlay/rendered.yaml" || status=$?
case $status in
  0) say "  none" ;;
  1) ;;
  *) fail "kubectl diff failed (exit $status), nothing was changed. A kind that the cluster does not know means that
  Traefik's, cert-manager's or the Prometheus operator's custom resources are not installed" ;;
esac

apply() {
  kube apply --server-side --force-conflicts --field-manager="$FIELD_MANAGER" --filename="$overlay/rendered.yaml" "$@"
}

if [ "$dry_run" = true ]; then
  apply --dry-run=server || fail "the cluster refuses these objects; nothing was changed"
  say "Dry run: nothing was changed."
  exit 0
fi

# --- apply, wait, put back ------------------------------------------------------------------------------------

revision() {
  kube get deployment "$DEPLOYMENT" --namespace "$namespace" --ignore-not-found \
    --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'
}

rollout_status() {
  kubectl rollout status "deployment/$DEPLOYMENT" --namespace "$namespace" --timeout="$timeout"
}

# Everything that tells why, each part on its own: a part that fails must not hide the next one.
show_why() {
  local selector="app=$DEPLOYMENT"
  say "--- pods"
  kube get pods --namespace "$namespace" --selector="$selector" --output=wide || true
  say "--- events"
  kube get events --namespace "$namespace" --sort-by=.lastTimestamp | tail -n 30 || true
  say "--- logs"
  kube logs --namespace "$namespace" --selector="$selector" --container="$CONTAINER" --tail=60 --prefix || true
  say "--- logs of containers that ended"
  kube logs --namespace "$namespace" --selector="$selector" --container="$CONTAINER" --tail=60 --prefix --previous ||
    true
}

before=$(revision)
apply || fail "the cluster refused some of the objects (above). Those named as applied are applied; put the rest right and run
  again, or go back to the last release: git checkout TAG && ./deploy.sh $environment"
if rollout_status; then
  say "Running: $image"
  kube get pods --namespace "$namespace" --selector="app=$DEPLOYMENT" || true
  exit 0
fi

say "The rollout did not finish within $timeout." >&2
show_why >&2
after=$(revision)
if [ -z "$before" ] || [ "$before" = "$after" ]; then
  fail "there is no earlier version to go back to: the pods are left as they are, for you to look at"
fi
say "Going back to revision $before." >&2
kube rollout undo "deployment/$DEPLOYMENT" --namespace "$namespace" --to-revision="$before" ||
  fail "going back failed too: $namespace needs a look now"
rollout_status || fail "revision $before does not become ready either: $namespace needs a look now"
fail "$image was not deployed; revision $before ($running_image) is running"
