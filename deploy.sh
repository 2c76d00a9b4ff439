#!/usr/bin/env bash
# Deploys one environment and leaves it running, or says why not and puts the last version back.
# Runs with the bash 3.2 of macOS; needs nothing but kubectl.
set -euo pipefail

readonly IMAGE_NAME=ghcr.io/fhswf/dgs-pg-gruppe-1/rtmlib-ml-backend
readonly DEPLOYMENT=rtmlib-ml-backend
readonly CONTAINER=ml-backend
readonly SECRET=rtmlib-ml-backend-secrets
readonly FIELD_MANAGER=rtmlib-deploy
# What the last successful deployment applied, for going back to it.
readonly RECORD=rtmlib-ml-backend-deployed
readonly REQUEST_TIMEOUT=30s
readonly POLL_SECONDS=${DEPLOY_POLL_SECONDS:-5}
# Of what k8s/ can hold; what was taken out of it is looked for among these.
readonly KINDS="deployments.apps
services
serviceaccounts
configmaps
persistentvolumeclaims
horizontalpodautoscalers.autoscaling
poddisruptionbudgets.policy
networkpolicies.networking.k8s.io
ingresses.networking.k8s.io
ingressroutes.traefik.io
middlewares.traefik.io
serverstransports.traefik.io
certificates.cert-manager.io
servicemonitors.monitoring.coreos.com
prometheusrules.monitoring.coreos.com"

usage() {
  cat <<'USAGE'
Usage: ./deploy.sh staging|production [--image NAME@sha256:DIGEST] [--dry-run] [--timeout 15m]

  --image    the image to run, by digest; without it the one that is running now is kept
  --dry-run  show what would change and be deleted, let the cluster check the objects, but change nothing
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

case $timeout in
  *s) limit_s=${timeout%s} ;;
  *m) limit_s=$((${timeout%m} * 60)) ;;
  *h) limit_s=$((${timeout%h} * 3600)) ;;
esac

case $environment in
  staging) namespace=rtmlib-staging ;;
  production) namespace=rtmlib ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
templates=$root/k8s/deploy
readonly root templates environment namespace dry_run timeout limit_s

# --- what has to be there -------------------------------------------------------------------------------------

command -v kubectl >/dev/null || fail "kubectl is not installed: https://kubernetes.io/docs/tasks/tools/"
[ -f "$root/k8s/overlays/$environment/kustomization.yaml" ] ||
  fail "k8s/overlays/$environment is missing: run deploy.sh from a complete checkout"
context=$(kubectl config current-context 2>/dev/null) ||
  fail "kubectl has no current context: set KUBECONFIG, or run: kubectl config use-context NAME"

# kubectl has no `kustomize edit`, so the digest comes in through an overlay over the overlay. It has to lie beside
# the environments: kustomize takes only relative paths.
work=$(mktemp -d "$root/k8s/overlays/.deploy.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Why the last call failed, which wrote to $work/stderr. The argument says what to do where the object is missing.
refusal() {
  local said
  said=$(cat "$work/stderr")
  case $said in
    *Unauthorized* | *'must be logged in'*)
      said="$said
The cluster does not accept the credentials of context $context: they are wrong or have expired."
      ;;
    *orbidden*)
      said="$said
The credentials of context $context lack this right. k8s/deploy/role.yaml has the rights that deploy.sh needs."
      ;;
    *NotFound* | *'not found'*)
      said="$said${1:+
$1}"
      ;;
    *'no matches for kind'*)
      said="$said
The custom resources of Traefik, cert-manager or the Prometheus operator are not installed."
      ;;
  esac
  printf '%s' "$said"
}

kube get --raw /version >/dev/null 2>"$work/stderr" ||
  fail "the cluster of context $context does not answer: check the network and the credentials
$(refusal)"
say "Cluster $context, namespace $namespace"

if ! kube get namespace "$namespace" >/dev/null 2>"$work/stderr"; then
  case $(cat "$work/stderr") in
    # Somebody else's object: what is in the namespace counts.
    *orbidden*) say "These credentials may not read the namespace object: it is taken to exist." ;;
    *) fail "namespace $namespace cannot be read: $(refusal "To make it:
  kubectl apply --server-side -f k8s/overlays/$environment/namespace.yaml")" ;;
  esac
fi

secret_command="  read -r LABEL_STUDIO_URL; read -rs LABEL_STUDIO_API_TOKEN
  printf 'LABEL_STUDIO_URL=%s\\nLABEL_STUDIO_API_TOKEN=%s\\n' \"\$LABEL_STUDIO_URL\" \"\$LABEL_STUDIO_API_TOKEN\" |
    kubectl create secret generic $SECRET --namespace $namespace --from-env-file=/dev/stdin --dry-run=client -o yaml |
    kubectl apply --server-side -f -"

# Prints nothing of the values: they end in a shell variable, never in an argument or in the output.
check_secret_key() { # KEY VALUE
  local key=$1 lower
  [ -n "$2" ] || fail "secret $SECRET has no $key. To write it:
$secret_command"
  lower=$(printf '%s' "$2" | tr '[:upper:]' '[:lower:]')
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
secret=$(kube get secret "$SECRET" --namespace "$namespace" \
  --output "go-template-file=$templates/secret.gotemplate" 2>"$work/stderr") ||
  fail "secret $SECRET cannot be read: $(refusal "To make it:
$secret_command")"
# A pod reads its secret once, at its start: a new version of the secret has to become a new version of the pods.
{ read -r label_studio_url && read -r label_studio_token && read -r secret_version; } <<<"$secret"
check_secret_key LABEL_STUDIO_URL "$label_studio_url"
check_secret_key LABEL_STUDIO_API_TOKEN "$label_studio_token"
unset secret label_studio_url label_studio_token

# One field of an object in the namespace; empty if either is missing.
field() { # OBJECT JSONPATH
  kube get "$1" --namespace "$namespace" --ignore-not-found --output "jsonpath={$2}" 2>"$work/stderr"
}
revision() { field "deployment/$DEPLOYMENT" '.metadata.annotations.deployment\.kubernetes\.io/revision'; }

running=$(field "deployment/$DEPLOYMENT" ".metadata.annotations.deployment\.kubernetes\.io/revision} \
{.spec.template.spec.containers[?(@.name==\"$CONTAINER\")].image") ||
  fail "deployment $DEPLOYMENT cannot be read: $(refusal)"
before=${running%% *}
running_image=${running##* }
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

# Without the namespace object, which needs rights outside the namespace.
cat >"$work/kustomization.yaml" <<OVERLAY
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../$environment
images:
  - name: $IMAGE_NAME
    newName: ${image%@*}
    digest: ${image#*@}
patches:
  - patch: |-
      \$patch: delete
      apiVersion: v1
      kind: Namespace
      metadata:
        name: $namespace
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
kubectl kustomize "$work" >"$work/rendered.yaml" 2>"$work/warnings" ||
  fail "k8s/overlays/$environment does not render:
$(cat "$work/warnings")"
[ ! -s "$work/warnings" ] || fail "k8s/overlays/$environment renders with warnings:
$(cat "$work/warnings")"

# All of one manifest file, under our field manager: what it no longer has is removed from the objects.
apply() { # FILE [OPTION…]
  local file=$1
  shift
  kube apply --server-side --force-conflicts --field-manager="$FIELD_MANAGER" --namespace="$namespace" \
    --filename="$file" "$@"
}

# Objects in the namespace that our field manager has applied and a manifest file lacks: Kind/name and API version.
# Settings that a former version of the pods still names stay, until Kubernetes forgets that version:
# `kubectl rollout undo` needs them.
leftovers() { # FILE
  local used kinds object api
  kube create --dry-run=client --filename="$1" \
    --output 'go-template={{.kind}}/{{.metadata.name}}{{"\n"}}' >"$work/wanted" || return 1
  used=$(kube get replicasets --namespace "$namespace" --selector="app=$DEPLOYMENT" --output \
    'jsonpath={.items[*].spec.template.spec.containers[*].envFrom[*].configMapRef.name} {.items[*].spec.template.spec.volumes[*].configMap.name}') ||
    return 1
  # A kind that the cluster does not have has no objects. kubectl also fails for a group that is not ours.
  kinds=$({ kube api-resources --namespaced --verbs=list --output=name 2>/dev/null || true; } |
    grep -xF "$KINDS" | paste -s -d , -) || return 1
  kube get "$kinds" --namespace "$namespace" --show-managed-fields \
    --output "go-template-file=$templates/applied.gotemplate" >"$work/applied" 2>"$work/stderr" ||
    say "Some kinds cannot be listed: what was taken out of them stays. $(refusal)" >&2
  sort -u "$work/applied" | while read -r object api; do
    ! grep -qxF "$object" "$work/wanted" || continue
    case $object in ConfigMap/*) case " $used " in *" ${object#*/} "*) continue ;; esac ;; esac
    say "$object $api"
  done
}

delete_leftovers() {
  local object api
  while read -r object api; do
    # Kind.version.group/name: another group may have a kind of the same name.
    case $api in */*) object=${object%%/*}.${api#*/}.${api%/*}/${object#*/} ;; esac
    kube delete "$object" --namespace "$namespace" --wait=false || say "  It stays: see above." >&2
  done <"$work/leftovers"
}

# kubectl's own managers (of rollout undo, edit, set, patch) that have written to the pods. Such fields outlive every apply
# of ours that lacks them.
other_managers() {
  kube get deployment "$DEPLOYMENT" --namespace "$namespace" --ignore-not-found --show-managed-fields \
    --output "go-template-file=$templates/managers.gotemplate" >"$work/managers" || return 1
  sed -n '/^kubectl/p' "$work/managers" | sort -u | paste -s -d ' ' -
}

# kubectl apply takes over the fields of whoever wrote this annotation, as it does after a client-side apply.
take_over() {
  local manager
  for manager in $managers; do
    kube annotate deployment "$DEPLOYMENT" --namespace "$namespace" --overwrite --field-manager="$manager" \
      kubectl.kubernetes.io/last-applied-configuration='{}' >/dev/null || return 1
  done
}

say "Image $image"
say "Differences to the cluster:"
status=0
kube diff --server-side --force-conflicts --field-manager="$FIELD_MANAGER" --filename="$work/rendered.yaml" \
  2>"$work/stderr" || status=$?
case $status in
  0) say "  none" ;;
  1) ;;
  *) fail "kubectl diff failed (exit $status), nothing was changed: $(refusal)" ;;
esac
managers=$(other_managers) || fail "the fields of the deployment cannot be read; nothing was changed"
[ -z "$managers" ] || say "The pods were also changed by hand ($managers). Of these changes, those that k8s/ lacks are removed."
leftovers "$work/rendered.yaml" >"$work/leftovers" || fail "what is no longer needed cannot be listed; nothing was changed"
if [ -s "$work/leftovers" ]; then
  say "Deleted after the rollout, since the manifests no longer have them:"
  sed 's/^/  /' "$work/leftovers"
fi

if [ "$dry_run" = true ]; then
  apply "$work/rendered.yaml" --dry-run=server || fail "the cluster refuses these objects; nothing was changed"
  say "Dry run: nothing was changed."
  exit 0
fi

# --- apply, wait, put back ------------------------------------------------------------------------------------

# Until the new pods have replaced the old ones, and as many are available as the autoscaler's minimum.
wait_until_ready() {
  local deadline=$((SECONDS + limit_s)) least available
  kubectl rollout status "deployment/$DEPLOYMENT" --namespace "$namespace" --timeout="$timeout" || return 1
  while :; do
    least=$(field "horizontalpodautoscaler/$DEPLOYMENT" .spec.minReplicas) || least=1
    available=$(field "deployment/$DEPLOYMENT" .status.availableReplicas) || available=0
    [ "${available:-0}" -lt "${least:-1}" ] || return 0
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "Only ${available:-0} of at least ${least:-1} pods are available." >&2
      return 1
    fi
    sleep "$POLL_SECONDS"
  done
}

# Everything that tells why, each part on its own: a part that fails must not hide the next one.
show_why() {
  local selector="app=$DEPLOYMENT" pod
  say "--- pods"
  kube get pods --namespace "$namespace" --selector="$selector" --output=wide || true
  say "--- what keeps them from being ready"
  kube get pods --namespace "$namespace" --selector="$selector" \
    --output "go-template-file=$templates/waiting.gotemplate" || true
  kube get replicasets --namespace "$namespace" --selector="$selector" \
    --output "go-template-file=$templates/refused.gotemplate" || true
  say "--- events"
  # `get events --sort-by` puts events without lastTimestamp, such as the scheduler's, before all others.
  kube events --namespace "$namespace" | tail -n 30 || true
  # By pod: with a selector, kubectl stops at the first pod that has no log.
  for pod in $(kube get pods --namespace "$namespace" --selector="$selector" --output=name); do
    say "--- log of $pod"
    kube logs "$pod" --namespace "$namespace" --container="$CONTAINER" --tail=60 || true
    if kube logs "$pod" --namespace "$namespace" --container="$CONTAINER" --tail=60 --previous \
      >"$work/previous" 2>/dev/null; then
      say "--- log of the container before it"
      cat "$work/previous"
    fi
  done
}

# Keeps the manifests, and the revision of the pods that they made.
record() { # FILE
  if ! kubectl create configmap "$RECORD" --namespace "$namespace" --dry-run=client --output=yaml \
    --from-file=manifests.yaml="$1" --from-literal=revision="$(revision)" >"$work/record.yaml" ||
    ! kube apply --server-side --force-conflicts --field-manager="$FIELD_MANAGER-record" \
      --filename="$work/record.yaml" >/dev/null; then
    say "The manifests could not be recorded: going back from the next deployment will restore the pods only." >&2
  fi
}

# Back to what ran before, or fail. The manifests of the last deployment, if it made the pods that ran; else the pods only.
go_back() {
  local after
  after=$(revision) || after=
  if [ -s "$work/former.yaml" ]; then
    say "Going back to the manifests of revision $before." >&2
    apply "$work/former.yaml" >&2 || fail "going back failed too: $namespace needs a look now"
  elif [ -z "$before" ] || [ "$before" = "$after" ]; then
    fail "there is no earlier version to go back to: the pods are left as they are, for you to look at"
  else
    say "Going back to the pods of revision $before. The other objects stay: deploy.sh has no record of the former ones." >&2
    kube rollout undo "deployment/$DEPLOYMENT" --namespace "$namespace" --to-revision="$before" >&2 ||
      fail "going back failed too: $namespace needs a look now"
  fi
  wait_until_ready >&2 || fail "revision $before does not become ready either: $namespace needs a look now"
  [ -s "$work/former.yaml" ] || return 0
  leftovers "$work/former.yaml" >"$work/leftovers" || : >"$work/leftovers"
  delete_leftovers >&2
  record "$work/former.yaml"
}

if [ -n "$before" ] && [ "$(field "configmap/$RECORD" .data.revision)" = "$before" ]; then
  field "configmap/$RECORD" '.data.manifests\.yaml' >"$work/former.yaml" ||
    fail "configmap $RECORD cannot be read: $(refusal)"
fi
take_over || fail "the fields of the deployment cannot be taken over; the pods are as they were"
if ! apply "$work/rendered.yaml" 2>"$work/stderr"; then
  say "The cluster refused some of the objects: $(refusal)" >&2
  go_back
  fail "$image was not deployed; revision $before ($running_image) is running"
fi
cat "$work/stderr" >&2
if ! wait_until_ready; then
  say "The rollout did not finish within $timeout." >&2
  show_why >&2
  go_back
  fail "$image was not deployed; revision $before ($running_image) is running"
fi
delete_leftovers
record "$work/rendered.yaml"
say "Running: $image"
kube get pods --namespace "$namespace" --selector="app=$DEPLOYMENT" || true
