import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dumpYaml, loadYaml, type V1Pod } from '@kubernetes/client-node';
import { checkKubernetes } from '../../../src/backends/kubernetes/check.ts';
import { KubernetesBackend } from '../../../src/backends/kubernetes/kubernetesBackend.ts';
import { type ClusterShape, executorShape, ownerOf } from '../../../src/backends/kubernetes/manifests.ts';
import {
  daskCluster,
  daskWorkerGroup,
  keeperJob,
  operatorGroup,
} from '../../../src/backends/kubernetes/operatorManifests.ts';
import { endOf } from '../../../src/backends/kubernetes/podState.ts';
import { UserError } from '../../../src/core/errors.ts';
import type { KubernetesExecutor } from '../../../src/core/kubernetesExecutor.ts';
import { MemoryLog } from '../../support/host.ts';

const executor: KubernetesExecutor = {
  ...{ name: 'pods', kind: 'kubernetes', image: 'ghcr.io/acme/flows:1', namespace: 'flows', operator: true },
  ...{ labels: { team: 'data' }, start_timeout: 60, env: { STAGE: 'test' } },
  scheduler: {
    pod_template: {
      spec: {
        priorityClassName: 'high',
        containers: [{ name: 'scheduler', resources: { limits: { gpu: 1 } } }],
      },
    },
  },
};
const owner = ownerOf({ metadata: { name: 'c', uid: 'u' } });

function shape(more: Partial<KubernetesExecutor> = {}): ClusterShape {
  const all = { ...executor, ...more };
  return {
    ...{
      id: 'c',
      executor: all,
      namespace: 'flows',
      annotations: { at: 'x' },
      env: ['TOKEN'],
      paths: ['a.py'],
    },
    ...{ labels: { 'flow-clusters/cluster': 'c' }, holdSeconds: 5 },
    ...executorShape(all, loadYaml),
  };
}

interface Part {
  readonly metadata: {
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly spec: NonNullable<V1Pod['spec']>;
  readonly replicas?: number;
  readonly service?: { readonly publishNotReadyAddresses?: boolean };
}

const orderOf = (spec: V1Pod['spec']) => JSON.parse(spec?.containers[0]?.command?.[2] ?? '{}');

describe('a cluster of the operator', () => {
  it('is a DaskCluster of a scheduler that stays ended, with no workers of its own', () => {
    const { spec, metadata } = daskCluster(shape(), owner);
    assert.deepEqual(metadata.ownerReferences, [owner]);
    assert.deepEqual(metadata.labels, { team: 'data', 'flow-clusters/cluster': 'c' });
    const scheduler = spec.scheduler as Part;
    assert.equal(scheduler.metadata.labels['flow-clusters/role'], 'scheduler');
    assert.equal(scheduler.service?.publishNotReadyAddresses, true);
    assert.equal(scheduler.spec.restartPolicy, 'Always');
    assert.equal(scheduler.spec.priorityClassName, 'high');
    const { once: isOnce, hold_seconds, dashboard_host } = orderOf(scheduler.spec);
    assert.deepEqual([isOnce, hold_seconds, dashboard_host], [true, 5, '127.0.0.1']);
    assert.equal((spec.worker as Part).replicas, 0);
    assert.equal(spec.idleTimeout, undefined, 'the operator would ask over a port without TLS');
  });

  it('has a group of one for each worker, by the name that Dask knows', () => {
    const { spec, metadata } = daskWorkerGroup(shape(), '7', owner);
    assert.equal(metadata.name, 'c-7');
    assert.equal(spec.cluster, 'c');
    const worker = spec.worker as Part;
    assert.equal(worker.replicas, 1);
    assert.equal(worker.metadata.labels['flow-clusters/worker'], '7');
    const order = orderOf(worker.spec);
    assert.deepEqual([order.names, order.scheduler], [['7'], 'tls://c-scheduler.flows.svc:8786']);
    const env = Object.fromEntries(
      (worker.spec.containers[0]?.env ?? []).map(({ name, value }) => [name, value]),
    );
    assert.ok('STAGE' in env && 'TOKEN' in env && env.STAGE === undefined, 'their values are in the secret');
    // Else the operator would say that it is tcp://.
    assert.equal(env.DASK_SCHEDULER_ADDRESS, order.scheduler);
    assert.equal(env.DASK_WORKER_NAME, '7');
  });

  it('is owned by a small pod that waits for its end, admitted as its scheduler is', () => {
    const job = keeperJob(shape());
    assert.equal(job.metadata?.labels?.['flow-clusters/role'], 'keeper');
    const spec = job.spec?.template.spec;
    assert.equal(spec?.priorityClassName, 'high');
    assert.deepEqual(
      spec?.containers.map(({ name }) => name),
      ['keeper'],
    );
    assert.deepEqual(spec?.containers[0]?.resources?.limits, { cpu: '100m', memory: '64Mi' });
    assert.equal(spec?.automountServiceAccountToken, false);
    assert.deepEqual(
      spec?.containers[0]?.env?.map(({ name }) => name),
      ['PYTHONUNBUFFERED', 'HOME'],
    );
    const { role, hub, start_seconds } = orderOf(spec);
    assert.deepEqual([role, hub, start_seconds], ['keeper', 'c-scheduler.flows.svc:8788', 60]);
  });

  const pod = (role: string, exitCode: number, restarts: number): V1Pod => ({
    metadata: { labels: { 'flow-clusters/role': role } },
    spec: { restartPolicy: 'Always', containers: [{ name: role }] },
    status: {
      phase: 'Running',
      containerStatuses: [
        {
          ...{ name: role, image: '', imageID: '', ready: true, restartCount: restarts },
          ...{ state: { running: {} }, lastState: { terminated: { exitCode } } },
        },
      ],
    },
  });

  it('is over when its scheduler was started again, and a worker when it has ended in order', () => {
    assert.deepEqual(endOf(pod('scheduler', 1, 1)), { exitCode: 1, outOfMemory: false });
    assert.deepEqual(endOf(pod('worker', 0, 1)), { exitCode: 0, outOfMemory: false });
    assert.equal(endOf(pod('worker', 1, 1)), undefined);
  });
});

/** An API server that has no more than what it is told to answer by `GET /path`; it notes what it is asked. */
async function serve(answers: Readonly<Record<string, unknown>>) {
  const asked: string[] = [];
  const server: Server = createServer((request: IncomingMessage, response) => {
    const path = `${request.method} ${request.url?.split('?')[0]}`;
    asked.push(path);
    request.resume();
    const answer = answers[path];
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { kind: 'Status', code: 404, message: `no ${path}` }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address && typeof address === 'object');
  const folder = await mkdtemp(join(tmpdir(), 'kubernetes-operator-'));
  const kubeconfig = join(folder, 'config');
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'none' },
    clusters: [
      {
        name: 'none',
        cluster: { server: `http://127.0.0.1:${address.port}`, 'insecure-skip-tls-verify': true },
      },
    ],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'none', context: { cluster: 'none', user: 'me' } }],
  };
  await writeFile(kubeconfig, dumpYaml(config));
  const close = async () => {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true });
  };
  return { kubeconfig, asked, close };
}

describe('where there is no operator', () => {
  const groups = { kind: 'APIGroupList', groups: [{ name: 'batch', versions: [{ version: 'v1' }] }] };

  it('nothing is made, and the start says what to do', async () => {
    const { kubeconfig, asked, close } = await serve({ 'GET /apis': groups });
    try {
      const python = new URL('../../../src/python', import.meta.url).pathname;
      const options = {
        log: new MemoryLog(),
        pythonFolder: python,
        owner: { machine: 'm', pid: process.pid },
      };
      const starting = new KubernetesBackend(options).start(
        { ...executor, kubeconfig },
        {
          ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
          ...{ stage: () => undefined, worker: () => undefined, scaling: () => undefined },
        },
      );
      await assert.rejects(starting, (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /^There is no Dask operator in none: .* does not know DaskCluster/);
        assert.match(error.hint ?? '', /^Leave "operator" out of the executor.* Or ask whoever looks after/);
        return true;
      });
      assert.deepEqual(
        asked.filter((one) => one.startsWith('POST')),
        [],
      );
    } finally {
      await close();
    }
  });

  it('the check says so first', async () => {
    const review = { status: { allowed: true } };
    const { kubeconfig, close } = await serve({
      'GET /apis': groups,
      'GET /version': { major: '1', minor: '34', gitVersion: 'v1.34.4' },
      'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews': review,
    });
    try {
      const [first] = await checkKubernetes({ ...executor, kubeconfig }, new AbortController().signal);
      assert.match(first?.message ?? '', /^There is no (Dask operator|namespace)/);
      const all = await checkKubernetes({ ...executor, kubeconfig }, new AbortController().signal);
      assert.ok(all.some(({ severity, message }) => severity === 'error' && message.includes(operatorGroup)));
    } finally {
      await close();
    }
  });
});
