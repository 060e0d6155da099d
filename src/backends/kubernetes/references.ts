import type { V1PodSpec } from '@kubernetes/client-node';
import { codeOf, type KubernetesApi } from './kubernetesApi.ts';

/** Something of the namespace that a pod needs by its name. */
export interface Reference {
  readonly kind: 'service account' | 'secret' | 'config map' | 'persistent volume claim';
  readonly name: string;
  /** What is done with it. */
  readonly use: string;
  /** The pod starts without it, too. */
  readonly optional: boolean;
}

/** What pods name, each once. */
export function referencesOf(specs: readonly V1PodSpec[]): Reference[] {
  const found = new Map<string, Reference>();
  const add = (kind: Reference['kind'], name: string | undefined, use: string, optional = false) => {
    if (!name) return;
    const key = `${kind}/${name}`;
    const known = found.get(key);
    if (!known || (known.optional && !optional)) found.set(key, { kind, name, use, optional });
  };
  for (const spec of specs) {
    add('service account', spec.serviceAccountName, 'service_account');
    // Without one the image is pulled all the same, if its registry allows that.
    for (const { name } of spec.imagePullSecrets ?? []) add('secret', name, 'image_pull_secrets', true);
    for (const { name: volume, persistentVolumeClaim, configMap, secret, projected } of spec.volumes ?? []) {
      const use = `the volume ${volume}`;
      add('persistent volume claim', persistentVolumeClaim?.claimName, use);
      add('config map', configMap?.name, use, configMap?.optional);
      add('secret', secret?.secretName, use, secret?.optional);
      for (const source of projected?.sources ?? []) {
        add('config map', source.configMap?.name, use, source.configMap?.optional);
        add('secret', source.secret?.name, use, source.secret?.optional);
      }
    }
    for (const { env = [], envFrom = [] } of [...spec.containers, ...(spec.initContainers ?? [])]) {
      for (const { configMapRef, secretRef } of envFrom) {
        add('config map', configMapRef?.name, 'the environment', configMapRef?.optional);
        add('secret', secretRef?.name, 'the environment', secretRef?.optional);
      }
      for (const { valueFrom } of env) {
        const { configMapKeyRef, secretKeyRef } = valueFrom ?? {};
        add('config map', configMapKeyRef?.name, 'the environment', configMapKeyRef?.optional);
        add('secret', secretKeyRef?.name, 'the environment', secretKeyRef?.optional);
      }
    }
  }
  return [...found.values()];
}

/** Whether it is there; undefined if that may not be asked. */
export async function isThere(
  api: KubernetesApi,
  { kind, name }: Reference,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const { core, namespace } = api;
  const which = { name, namespace };
  const options = api.until(signal);
  const reads: Readonly<Record<Reference['kind'], () => Promise<unknown>>> = {
    'service account': () => core.readNamespacedServiceAccount(which, options),
    secret: () => core.readNamespacedSecret(which, options),
    'config map': () => core.readNamespacedConfigMap(which, options),
    'persistent volume claim': () => core.readNamespacedPersistentVolumeClaim(which, options),
  };
  try {
    await reads[kind]();
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === 404) return false;
    if (code === 403) return undefined;
    throw error;
  }
}
