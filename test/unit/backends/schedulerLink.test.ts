import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { linkScheduler } from '../../../src/backends/kubernetes/schedulerLink.ts';
import type { ClusterMember, MemberAccess } from '../../../src/core/members.ts';
import type { PodScheduler } from '../../../src/core/podScheduler.ts';
import { MemoryLog } from '../../support/host.ts';

const namespace = 'flows';

function aPod(role: string, n: number, other: Partial<V1Pod> = {}): V1Pod {
  const status = { name: role, image: 'dask:1', imageID: '', ready: true, restartCount: 0 };
  const startedAt = new Date(0);
  return {
    spec: { nodeName: 'node-1', containers: [{ name: 'proxy' }, { name: role, image: 'dask:1' }] },
    status: {
      phase: 'Running',
      podIP: `10.0.0.${n}`,
      containerStatuses: [{ ...status, containerID: 'a', state: { running: { startedAt } } }],
    },
    ...other,
    metadata: {
      ...{ name: `etl-${role}-${n}`, namespace, uid: `uid-${role}-${n}` },
      labels: { 'flow-clusters/role': role, 'flow-clusters/deployment': 'etl' },
      ...other.metadata,
    },
  };
}

/** As much of an API server as watches and logs of pods take. */
async function anApiServer() {
  const pods = new Map<string, V1Pod>();
  const watchers = new Set<ServerResponse>();
  const asked: string[] = [];
  let version = 1;
  let mayRead = true;
  const tell = (type: string, pod: V1Pod) => {
    version += 1;
    const object = { ...pod, metadata: { ...pod.metadata, resourceVersion: String(version) } };
    if (type === 'DELETED') pods.delete(pod.metadata?.name ?? '');
    else pods.set(pod.metadata?.name ?? '', object);
    for (const watcher of watchers) watcher.write(`${JSON.stringify({ type, object })}\n`);
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://localhost');
    const [, pod = ''] = /\/pods\/([^/]+)\/log$/.exec(pathname) ?? [];
    response.setHeader('Content-Type', 'application/json');
    if (!mayRead || query.get('container') === 'nothing') {
      const message = `${pod ? 'pods/log' : 'pods'} is forbidden: User "me" cannot ${pod ? 'get' : 'list'} resource "${pod ? 'pods/log' : 'pods'}" in API group "" in the namespace "${namespace}"`;
      response.writeHead(403).end(JSON.stringify({ kind: 'Status', code: 403, message }));
    } else if (pod) {
      asked.push(`log ${pod} ${query.get('container')}${query.get('previous') ? ' previous' : ''}`);
      const said = query.get('previous') ? ['1Z before'] : ['2Z now'];
      response.end(said.map((one) => `2026-08-01T10:41:0${one}\n`).join(''));
    } else if (query.get('watch')) {
      asked.push(`watch ${query.get('labelSelector')}`);
      watchers.add(response);
      response.on('close', () => watchers.delete(response));
      response.flushHeaders();
    } else {
      asked.push('list');
      const metadata = { resourceVersion: String(version) };
      response.end(
        JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata, items: [...pods.values()] }),
      );
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address);
  const url = `http://127.0.0.1:${address.port}`;
  const folder = await mkdtemp(join(tmpdir(), 'flow-clusters-link-'));
  const kubeconfig = join(folder, 'config');
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'bed' },
    clusters: [{ name: 'bed', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'bed', context: { cluster: 'bed', user: 'me' } }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const scheduler: PodScheduler = {
    ...{ context: 'bed', kubeconfig, server: url, namespace, maker: 'deployment', name: 'etl' },
    selector: 'app.kubernetes.io/name=dask,flow-clusters/role=scheduler,flow-clusters/deployment=etl',
    ...{ port: 8786, dashboardPort: 8787 },
  };
  return {
    ...{ scheduler, tell, asked, watchers },
    /** Whether pods may be read from now on; watches end by that. */
    allow: (may: boolean) => {
      mayRead = may;
      for (const watcher of watchers) watcher.end();
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (const began = performance.now(); !condition(); await sleep(5))
    assert.ok(performance.now() - began < 8_000, `in vain: ${condition}`);
}

describe('a link to a scheduler in a pod', () => {
  let server: Awaited<ReturnType<typeof anApiServer>>;
  const log = new MemoryLog();
  const tells: (readonly ClusterMember[])[] = [];
  let access: MemberAccess | undefined;
  let link: Awaited<ReturnType<typeof linkScheduler>>;
  const now = () => tells.at(-1)?.map(({ name, waiting }) => [name, waiting].filter(Boolean).join(': '));

  beforeEach(async () => {
    server = await anApiServer();
    server.tell('ADDED', aPod('scheduler', 1));
    server.tell('ADDED', aPod('worker', 2));
    server.tell('ADDED', aPod('worker', 3));
    tells.length = 0;
    log.lines.length = 0;
    link = await linkScheduler(server.scheduler, log);
    link.onMembers((members, by) => {
      tells.push(members);
      access = by;
    });
    await until(() => server.watchers.size === 1);
  });
  afterEach(async () => {
    link.close();
    await server.close();
  });

  it('tells of all pods of its cluster by one watch, until it is closed', async () => {
    assert.deepEqual(now(), ['etl-scheduler-1', 'etl-worker-2', 'etl-worker-3']);
    assert.equal(tells.length, 1, 'of a list once');
    assert.deepEqual(server.asked, [
      'list',
      'watch flow-clusters/deployment=etl,flow-clusters/role in (scheduler,worker)',
    ]);
    let later: readonly ClusterMember[] = [];
    const other = link.onMembers((members) => {
      later = members;
    });
    assert.equal(later.length, 3, 'who comes later hears of them at once');
    other.dispose();

    const condition = { type: 'PodScheduled', status: 'False', message: '0/1 nodes are available.' };
    const pending = { status: { phase: 'Pending', conditions: [condition] } };
    server.tell('ADDED', aPod('worker', 4, pending));
    await until(() => now()?.length === 4);
    assert.equal(now()?.at(-1), 'etl-worker-4: no node takes it: 0/1 nodes are available');
    // Who is deleted is gone at once; why Kubernetes does it is told before.
    const deletionTimestamp = new Date();
    const { name, uid, labels } = aPod('worker', 2).metadata ?? {};
    server.tell(
      'MODIFIED',
      aPod('worker', 2, { metadata: { name, uid, labels, deletionTimestamp } as object }),
    );
    await until(() => now()?.length === 3);
    const target = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' };
    const evicted = aPod('worker', 3);
    server.tell('MODIFIED', {
      ...evicted,
      metadata: { ...evicted.metadata, deletionTimestamp },
      status: { ...evicted.status, conditions: [target] },
    });
    await until(() => now()?.[1] === 'etl-worker-3: it was evicted, as its node is being drained');
    server.tell('DELETED', evicted);
    await until(() => now()?.length === 2);
    assert.equal(later.length, 3, 'who does not want to hear any more does not');

    link.close();
    await until(() => server.watchers.size === 0);
    assert.deepEqual(log.lines, []);
  });

  it('gives their logs, that of the container before first', async () => {
    const pod = aPod('worker', 2);
    const [status] = pod.status?.containerStatuses ?? [];
    assert.ok(status);
    const ended = { terminated: { exitCode: 3, reason: 'Error' } };
    server.tell('MODIFIED', {
      ...pod,
      status: { ...pod.status, containerStatuses: [{ ...status, restartCount: 1, lastState: ended }] },
    });
    await until(() => tells.at(-1)?.some(({ lastExitCode }) => lastExitCode === 3) === true);
    const lines: string[] = [];
    const stop = new AbortController();
    const following = access?.follow('etl-worker-2', { tail: 9, signal: stop.signal }, ({ text }) => {
      lines.push(text);
    });
    await until(() => lines.length === 2);
    stop.abort();
    await following;
    assert.deepEqual(lines, ['before', 'now']);
    assert.deepEqual(server.asked.slice(2, 4), [
      'log etl-worker-2 worker previous',
      'log etl-worker-2 worker',
    ]);
  });

  it('says once in plain words that pods may not be read any more, and goes on when they may', async () => {
    server.allow(false);
    await until(() => log.lines.length > 0);
    assert.match(
      log.lines[0] ?? '',
      /the pods of flows\/etl can't be watched: You may not list pods in the namespace flows$/,
    );
    assert.equal(now()?.length, 3, 'what was seen last');
    server.tell('DELETED', aPod('worker', 3));
    server.allow(true);
    await until(() => now()?.length === 2);
    assert.equal(log.lines.length, 1);
  });
});
