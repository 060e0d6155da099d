import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CoreV1Api,
  RbacAuthorizationV1Api,
  type V1PodSpec,
  type V1Role,
  type V1RoleBinding,
} from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { rights, rightsManifest } from '../../src/backends/kubernetes/rights.ts';
import { testCluster, testNamespace, until, untilNothingIsLeft } from '../support/kubernetes.ts';
import type { InsideReport } from '../support/kubernetesInside.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const account = 'window';

describe('a window in a pod', function () {
  this.timeout(270_000);
  let core: CoreV1Api;
  let namespace: string;
  let remove: () => Promise<void>;

  before(async () => {
    core = testCluster().makeApiClient(CoreV1Api);
    // Not of the level restricted: the pods of these windows have this checkout from their node.
    ({ namespace, remove } = await testNamespace('inside', {}));
    await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name: account } } });
    const rbac = testCluster().makeApiClient(RbacAuthorizationV1Api);
    const [role, binding] = rightsManifest(
      rights,
      namespace,
      `system:serviceaccount:${namespace}:${account}`,
    );
    await rbac.createNamespacedRole({ namespace, body: role as unknown as V1Role });
    await rbac.createNamespacedRoleBinding({ namespace, body: binding as unknown as V1RoleBinding });
  });
  after(() => remove());

  /** Of a pod that has all that it takes here, but for rights. */
  async function report(name: string, options: Partial<V1PodSpec> = {}): Promise<InsideReport> {
    // With what tsx has compiled already.
    const folders = [root, process.execPath, join(tmpdir(), `tsx-${process.getuid?.()}`)];
    const command = [process.execPath, '--import', 'tsx', 'test/support/kubernetesInside.ts', namespace];
    const spec: V1PodSpec = {
      ...{ serviceAccountName: account, restartPolicy: 'Never' },
      volumes: folders.map((path, n) => ({ name: `host-${n}`, hostPath: { path } })),
      containers: [
        {
          ...{ name: 'window', image: await imageOf('dask-latest'), imagePullPolicy: 'IfNotPresent' },
          ...{ command, workingDir: root },
          volumeMounts: folders.map((mountPath, n) => ({ name: `host-${n}`, mountPath })),
        },
      ],
      ...options,
    };
    await core.createNamespacedPod({ namespace, body: { metadata: { name }, spec } });
    const phase = async () => (await core.readNamespacedPod({ name, namespace })).status?.phase ?? '';
    await until(async () => ['Succeeded', 'Failed'].includes(await phase()), 240_000);
    const log = await core.readNamespacedPodLog({ name, namespace });
    assert.equal(await phase(), 'Succeeded', log);
    return JSON.parse(log.trim().split('\n').at(-1) ?? '') as InsideReport;
  }

  function assertRan({ run, tasks }: InsideReport): void {
    assert.match(run, /"kind":"completed"/);
    assert.deepEqual(Object.fromEntries(tasks), { inc: 4, sum: 1 });
  }

  it('has clusters of its own image, and reaches them by their Service', async () => {
    const told = await report('beside');
    assertRan(told);
    assert.equal(told.addresses.length, 1);
    assert.match(told.addresses[0] ?? '', new RegExp(`^tls://flow-clusters-\\w+\\.${namespace}\\.svc:8786$`));
    await untilNothingIsLeft(namespace);
  });

  it('reaches them through the API server where there is no other way, and says why', async () => {
    // It has no DNS: names of Services are not known there.
    const told = await report('apart', { dnsPolicy: 'Default' });
    assertRan(told);
    assert.match(told.addresses[0] ?? '', /^tls:\/\/127\.0\.0\.1:\d+$/);
    const [line = ''] = told.log.filter((one) => one.startsWith('info'));
    assert.match(
      line,
      /ports of flow-clusters-.* are forwarded by the API server: it is not reached directly: ./,
    );
    await untilNothingIsLeft(namespace);
  });
});
