import type { KubernetesObject } from '@kubernetes/client-node';
import { deploymentLabel, deploymentObjects } from '../objects.ts';
import { type DeploymentShape, namesOf } from '../shape.ts';
import { commented, type Dump, leftOut } from './notes.ts';

const lifeDays = 730;

/**
 * A folder that a team can keep: one file for each object, `kustomization.yaml`, and a script that makes the secrets, of
 * which nothing is in the folder. The objects are those that are deployed from here.
 * @param preload text of `adaptive_preload.py`
 * @returns texts by the names of their files
 */
export function kustomizeFiles(
  shape: DeploymentShape,
  preload: string,
  dump: Dump,
): ReadonlyMap<string, string> {
  const { name, executor } = shape;
  const objects = deploymentObjects(shape, preload);
  const files = new Map(objects.map((object) => [fileOf(object, name), dump(object)]));
  const notes = [
    `The Dask cluster “${name}”, as the executor “${executor.name}” has it. In this folder:`,
    '',
    '  sh secrets.sh          # before: certificates, and values of variables; no key is in a file here',
    '  kubectl apply -k .     # makes the cluster, and brings it to what these files say',
    '  kubectl delete -k .    # ends it; the secrets stay',
    '',
    `The objects find each other by their names: namePrefix and nameSuffix would part them.`,
    ...leftOut(shape, 'static'),
  ];
  const kustomization = {
    ...{ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization' },
    ...(executor.namespace !== undefined && { namespace: executor.namespace }),
    resources: [...files.keys()],
  };
  return new Map([
    ['kustomization.yaml', `${commented(notes)}${dump(kustomization)}`],
    ...files,
    ['secrets.sh', secretsScript(shape)],
  ]);
}

/** `deployment-scheduler.yaml`, `networkpolicy.yaml`. */
function fileOf({ kind = '', metadata }: KubernetesObject, cluster: string): string {
  const part = (metadata?.name ?? '').slice(cluster.length);
  return `${kind.toLowerCase()}${part}.yaml`;
}

/** POSIX; all that stands in it is checked before: names of Kubernetes and of variables. */
function secretsScript(shape: DeploymentShape): string {
  const { name, executor } = shape;
  const { tls, clientTls } = namesOf(name);
  const keys = Object.keys(executor.env ?? {});
  const variables = keys.filter((key) => /^[A-Za-z_]\w*$/.test(key));
  const rest = keys.filter((key) => !variables.includes(key));
  const namespace = executor.namespace === undefined ? '' : ` --namespace ${executor.namespace}`;
  return `#!/bin/sh
# Makes the secrets of the Dask cluster “${name}”. Keys and values are written to a temporary folder only.
#   ${tls}: certificates of scheduler and workers; ${clientTls}: of its clients: who may read it may use the cluster.
# The authority that signs them is thrown away. Secrets of the same names and keys by other means, such as cert-manager,
# are as good: both from one authority, which is ca.crt.
# Run again it keeps the certificates that are there; “kubectl delete secret${namespace} ${tls} ${clientTls}” before has it
# make others.
set -eu
umask 077
${checkPart(variables, rest)}kubectl="\${KUBECTL:-kubectl}${namespace}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder"

# NAME ARGUMENT…: brings a secret to what it shall be. What others made under its name stays as it is.
apply_secret() {
  owner=$($kubectl get secret "$1" --ignore-not-found --output 'jsonpath=a cluster:{.metadata.labels.flow-clusters/deployment}')
  case "$owner" in
    '' | 'a cluster:${name}') ;;
    *) echo "There is a secret $1 already, which does not belong to ${name}: delete it, or choose another name." >&2; exit 1 ;;
  esac
  $kubectl create secret generic "$@" --dry-run=client --output yaml >made.yaml
  $kubectl label --local --filename made.yaml ${deploymentLabel}=${name} --output yaml >labelled.yaml
  # By the server: its text would be in an annotation otherwise.
  $kubectl apply --server-side --force-conflicts --filename labelled.yaml
}

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

make_certificates() {
  # What strict checks ask for, as those of Python from 3.13 on.
  cat >certificates.cnf <<'END'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[member]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
  new_key ca
  openssl req -x509 -new -key ca.key -sha256 -days ${lifeDays} -subj "/CN=${name} authority" \\
    -config certificates.cnf -extensions authority -out ca.crt
  for who in member client; do
    new_key "$who"
    openssl req -new -key "$who.key" -subj "/CN=${name} $who" -config certificates.cnf -out "$who.csr"
    openssl x509 -req -in "$who.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days ${lifeDays} \\
      -extfile certificates.cnf -extensions member -out "$who.crt"
  done
}

# Both, or they would be from two authorities.
there=$($kubectl get secret ${tls} ${clientTls} --ignore-not-found --output name | wc -l)
if [ "$there" -ne 2 ]; then
  make_certificates
  for pair in ${tls}:member ${clientTls}:client; do
    who="\${pair#*:}"
    apply_secret "\${pair%:*}" --type kubernetes.io/tls \\
      --from-file ca.crt --from-file "tls.crt=$who.crt" --from-file "tls.key=$who.key"
  done
fi
${envPart(shape, variables)}`;
}

/** Before anything is made. */
function checkPart(variables: readonly string[], rest: readonly string[]): string {
  if (variables.length + rest.length === 0) return '';
  return [
    '# Variables of the workers, with the values that they have where this runs.',
    ...rest.map((key) => `# Add ${JSON.stringify(key)} yourself: a shell has no variable of that name.`),
    ...variables.map((key) => `: "\${${key}?set it to what workers shall have}"`),
    '\n',
  ].join('\n');
}

/** By files: who may list processes would see arguments. */
function envPart({ name, executor }: DeploymentShape, variables: readonly string[]): string {
  if (Object.keys(executor.env ?? {}).length === 0) return '';
  return [
    '',
    'mkdir variables',
    ...variables.map((key) => `printf %s "$${key}" >variables/${key}`),
    `apply_secret ${namesOf(name).env} --from-file variables`,
    '',
  ].join('\n');
}
