import assert from 'node:assert/strict';
import { ApiException, CoreV1Api, type V1Pod } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { testCluster, until } from '../support/kubernetes.ts';

const namespace = `test-bed-${process.pid}`;
const ENDED = ['Succeeded', 'Failed'];

/** As the `restricted` level asks. */
const pod = (name: string, image: string, command: string[]): V1Pod => ({
  metadata: { name },
  spec: {
    restartPolicy: 'Never',
    securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        ...{ name: 'main', image, command, imagePullPolicy: 'IfNotPresent' },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
});

describe('the Kubernetes of tests', function () {
  this.timeout(60_000);
  let core: CoreV1Api;

  before(async () => {
    core = testCluster().makeApiClient(CoreV1Api);
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await core.createNamespace({ body: { metadata: { name: namespace, labels } } });
    // Pods are refused until a namespace has its account.
    await until(async () => (await core.listNamespacedServiceAccount({ namespace })).items.length > 0);
  });
  after(() => core.deleteNamespace({ name: namespace }));

  async function ended(name: string): Promise<string> {
    let phase = '';
    await until(async () => {
      phase = (await core.readNamespacedPod({ name, namespace })).status?.phase ?? '';
      return ENDED.includes(phase);
    });
    return phase;
  }

  it('is one node that is ready', async () => {
    const { items } = await core.listNode();
    const ready = items.map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status);
    assert.deepEqual(ready, ['True']);
  });

  it('refuses what a namespace of the restricted level forbids', async () => {
    const body = pod('root', 'absent.invalid/x:1', ['true']);
    body.spec = {
      ...body.spec,
      containers: [{ name: 'main', image: 'absent.invalid/x:1' }],
      securityContext: {},
    };
    await assert.rejects(core.createNamespacedPod({ namespace, body }), (error) => {
      assert.ok(error instanceof ApiException);
      assert.equal(error.code, 403);
      assert.match(String(error.body), /violates PodSecurity \\?"restricted:latest/);
      return true;
    });
  });

  for (const name of ['dask-latest', 'prefect3', 'prefect2', 'prefect1']) {
    it(`runs the image ${name} without root, and has its log`, async () => {
      const code = 'import distributed, os; print(distributed.__name__, os.getuid())';
      const body = pod(name, await imageOf(name), ['python3', '-c', code]);
      await core.createNamespacedPod({ namespace, body });
      assert.equal(await ended(name), 'Succeeded');
      assert.equal(await core.readNamespacedPodLog({ name, namespace }), 'distributed 1000\n');
    });
  }

  it('finds a service by its name', async () => {
    const image = await imageOf('dask-latest');
    const server = pod('server', image, [
      'python3',
      '-m',
      'http.server',
      '8000',
      '--directory',
      '/usr/share',
    ]);
    server.metadata = { ...server.metadata, labels: { app: 'server' } };
    await core.createNamespacedPod({ namespace, body: server });
    const spec = { selector: { app: 'server' }, ports: [{ port: 80, targetPort: 8000 }] };
    await core.createNamespacedService({ namespace, body: { metadata: { name: 'web' }, spec } });
    const code = [
      'import time, urllib.request',
      'for attempt in range(50):',
      '    try:',
      '        print(urllib.request.urlopen("http://web", timeout=5).status)',
      '        break',
      '    except OSError:',
      '        time.sleep(0.2)',
    ];
    await core.createNamespacedPod({
      namespace,
      body: pod('client', image, ['python3', '-c', code.join('\n')]),
    });
    assert.equal(await ended('client'), 'Succeeded');
    assert.equal(await core.readNamespacedPodLog({ name: 'client', namespace }), '200\n');
  });
});
