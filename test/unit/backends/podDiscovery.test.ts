import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { PodDiscovery } from '../../../src/backends/kubernetes/discovery.ts';
import { mostNamespaces } from '../../../src/backends/kubernetes/podNamespaces.ts';
import { MemoryLog } from '../../support/host.ts';

/** An API server with one scheduler of Dask's operator in each namespace. */
class Schedulers {
  readonly asked: string[] = [];
  namespaces: readonly string[] = [];
  mayListNamespaces = false;
  readonly readable = new Set<string>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const { status = 200, body, open } = await this.#answer(request);
      response.writeHead(status, { 'content-type': 'application/json' });
      if (open) response.flushHeaders();
      else response.end(JSON.stringify(body ?? { message: 'no' }));
    });
  }

  async kubeconfig(folder: string): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const server = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    const path = join(folder, 'config');
    const config = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'dev', users: [{ name: 'me', user: {} }] },
      clusters: [{ name: 'dev', cluster: { server, 'insecure-skip-tls-verify': true } }],
      contexts: [{ name: 'dev', context: { cluster: 'dev', user: 'me', namespace: 'own' } }],
    };
    await writeFile(path, JSON.stringify(config));
    return path;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(
    request: IncomingMessage,
  ): Promise<{ readonly status?: number; readonly body?: unknown; readonly open?: boolean }> {
    const url = new URL(request.url ?? '', 'http://here');
    if (request.method === 'POST') {
      const { namespace } = JSON.parse(await text(request)).spec.resourceAttributes;
      return { status: 201, body: { spec: {}, status: { allowed: this.readable.has(namespace) } } };
    }
    if (url.pathname === '/api/v1/namespaces') {
      if (!this.mayListNamespaces) return { status: 403 };
      return { body: { items: this.namespaces.map((name) => ({ metadata: { name } })), metadata: {} } };
    }
    const namespace = /namespaces\/([^/]+)\/pods/.exec(url.pathname)?.[1];
    if (namespace === undefined || !this.readable.has(namespace)) return { status: 403 };
    if (url.searchParams.get('watch') === 'true') return { open: true };
    this.asked.push(namespace);
    const isOperators = url.searchParams.get('labelSelector') === 'dask.org/component=scheduler';
    return {
      body: { items: isOperators ? [schedulerIn(namespace)] : [], metadata: { resourceVersion: '1' } },
    };
  }
}

const schedulerIn = (namespace: string) => ({
  metadata: {
    ...{ name: 'etl-scheduler', namespace, resourceVersion: '1' },
    labels: { 'dask.org/component': 'scheduler', 'dask.org/cluster-name': 'etl' },
  },
  spec: { containers: [{ name: 'scheduler' }] },
  status: { phase: 'Running' },
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

describe('clusters on Kubernetes where the whole of it may not be read', () => {
  let folder: string;
  let server: Schedulers;
  let kubeconfig: string;
  let log: MemoryLog;
  let discovery: PodDiscovery;
  let found: readonly string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'discovery-'));
    server = new Schedulers();
    kubeconfig = await server.kubeconfig(folder);
    log = new MemoryLog();
    found = [];
    discovery = new PodDiscovery({
      ...{ log, searchAgainMs: 20 },
      onChange: (all) => {
        found = all.map(({ scheduler }) => scheduler.namespace).toSorted();
      },
    });
  });
  afterEach(async () => {
    discovery.rest();
    server.close();
    await rm(folder, { recursive: true });
  });

  const see = async (...namespaces: readonly string[]) => {
    await until(() => JSON.stringify(found) === JSON.stringify(namespaces));
  };

  it('are found where executors and the context say, and wherever else one may read, as soon as one may', async () => {
    for (const name of ['own', 'team']) server.readable.add(name);
    discovery.look([{ kubeconfig }, { kubeconfig, namespace: 'team' }]);
    await see('own', 'team');
    server.namespaces = ['hidden', 'other', 'own', 'team'];
    server.mayListNamespaces = true;
    server.readable.add('other');
    await see('other', 'own', 'team');
    server.namespaces = ['hidden', 'own', 'team'];
    await see('own', 'team');
    assert.deepEqual(log.lines, []);
    assert.ok(!server.asked.includes('hidden'));
  });

  it('are looked for in so many namespaces, and the log says once how many more there are', async () => {
    server.namespaces = Array.from(
      { length: mostNamespaces + 4 },
      (_, n) => `n${String(n).padStart(2, '0')}`,
    );
    for (const name of ['own', ...server.namespaces]) server.readable.add(name);
    server.mayListNamespaces = true;
    discovery.look([{ kubeconfig }]);
    await see(...server.namespaces.slice(0, mostNamespaces - 1), 'own');
    assert.equal(log.lines.length, 1, log.lines.join('\n'));
    assert.match(
      log.lines[0] ?? '',
      /looked for in 20 namespaces, and not in 5 more .* name it in an executor/,
    );
  });

  it('are told of with what is wrong where the context’s own namespace may not be read', async () => {
    discovery.look([{ kubeconfig }]);
    await until(() => log.lines.length > 0);
    assert.match(log.lines[0] ?? '', /can't be looked for: no/);
    server.readable.add('own');
    await see('own');
  });
});
