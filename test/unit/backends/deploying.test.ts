import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type KubernetesObject,
  loadYaml,
  PatchStrategy,
  type V1Deployment,
  type V1Pod,
} from '@kubernetes/client-node';
import { carryOut } from '../../../src/backends/kubernetes/deployment/deploy.ts';
import { type Plan, planDeployment, warningsOf } from '../../../src/backends/kubernetes/deployment/plan.ts';
import { deploymentShape } from '../../../src/backends/kubernetes/deployment/shape.ts';
import { nameOf, removeObjects } from '../../../src/backends/kubernetes/deployment/store.ts';
import type { KubernetesApi } from '../../../src/backends/kubernetes/kubernetesApi.ts';
import { UserError } from '../../../src/core/errors.ts';
import type { KubernetesExecutor } from '../../../src/core/kubernetesExecutor.ts';
import { MemoryLog } from '../../support/host.ts';

const refusal = (code: number, message: string) => Object.assign(new Error(message), { code });

/** As much of an API server as deploying takes. Pods run at once, unless their image is `bad`. */
class Server {
  readonly objects = new Map<string, KubernetesObject>();
  /** Called before each change; what it throws is the answer. */
  before: (verb: string, key: string) => void = () => undefined;
  #version = 0;

  readonly api = {
    namespace: 'flows',
    place: { context: 'bed', namespace: 'flows', server: 'https://bed' },
    library: { PatchStrategy },
    login: async () => undefined,
    until: () => ({}),
    objects: () => ({
      create: async (object: KubernetesObject) => {
        const key = keyOf(object);
        this.before('create', key);
        if (this.objects.has(key)) throw refusal(409, `${key} already exists`);
        return this.put({ ...object, metadata: { ...object.metadata, uid: randomUUID() } });
      },
      read: async (header: KubernetesObject) => this.#get(keyOf(header)),
      delete: async (header: KubernetesObject, ...rest: unknown[]) => {
        const key = keyOf(header);
        this.before('delete', key);
        const { preconditions } = rest.at(-1) as { preconditions?: { uid: string } };
        const uid = preconditions?.uid;
        if (uid !== undefined && uid !== this.#get(key).metadata?.uid) throw refusal(409, 'another uid');
        this.objects.delete(key);
      },
      patch: async (object: KubernetesObject, ...[, dryRun, , , strategy]: unknown[]) => {
        const key = keyOf(object);
        const live = this.objects.get(key);
        if (strategy === PatchStrategy.MergePatch) return this.#get(key);
        const { uid, resourceVersion } = object.metadata ?? {};
        if (dryRun === undefined) this.before('apply', key);
        if (uid !== undefined && uid !== live?.metadata?.uid) throw refusal(409, 'another uid');
        if (resourceVersion !== undefined && resourceVersion !== live?.metadata?.resourceVersion)
          throw refusal(409, 'another version');
        const replicas = (live as V1Deployment | undefined)?.spec?.replicas;
        const spec = { ...(replicas !== undefined && { replicas }), ...(object as V1Deployment).spec };
        const then = { ...object, ...(Object.keys(spec).length > 0 && { spec }) } as KubernetesObject;
        const made = { ...then, metadata: { ...then.metadata, uid: live?.metadata?.uid ?? randomUUID() } };
        return dryRun === undefined ? this.put(made) : made;
      },
    }),
    core: {
      listNamespacedPod: async () => ({ items: this.#pods(), metadata: { resourceVersion: '1' } }),
      createNamespacedPod: async () => undefined,
    },
    apps: { readNamespacedDeployment: async () => ({}) },
    watch: (_path: string, _query: object, signal: AbortSignal) =>
      sleep(10_000, undefined, { signal }).catch(() => undefined),
  } as unknown as KubernetesApi;

  put(object: KubernetesObject): KubernetesObject {
    this.#version += 1;
    const kept = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    this.objects.set(keyOf(object), kept);
    return kept;
  }

  /** As others do: it has another uid then. */
  replace(key: string): KubernetesObject {
    const { metadata, ...rest } = this.#get(key);
    return this.put({ ...rest, metadata: { ...metadata, uid: randomUUID() } });
  }

  scale(key: string, replicas: number): void {
    const live = this.#get(key) as V1Deployment;
    this.put({ ...live, spec: { ...live.spec, replicas } } as KubernetesObject);
  }

  replicas(key: string): number | undefined {
    return (this.#get(key) as V1Deployment).spec?.replicas;
  }

  keys(): string[] {
    return [...this.objects.keys()].sort();
  }

  #get(key: string): KubernetesObject {
    const found = this.objects.get(key);
    if (!found) throw refusal(404, `${key} not found`);
    return found;
  }

  #pods(): V1Pod[] {
    return [...this.objects.values()].flatMap((object) => {
      const template = object.kind === 'Deployment' ? (object as V1Deployment).spec?.template : undefined;
      if (!template) return [];
      const isBad = template.spec?.containers[0]?.image === 'bad';
      const status = isBad
        ? {
            phase: 'Pending',
            containerStatuses: [
              { name: 'x', state: { waiting: { reason: 'InvalidImageName', message: 'no such name' } } },
            ],
          }
        : { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
      return [{ metadata: { ...template.metadata, name: `${object.metadata?.name}-0` }, status } as V1Pod];
    });
  }
}

const keyOf = (object: KubernetesObject) => `${object.kind}/${object.metadata?.name}`;
const signal = new AbortController().signal;
const all = [
  ...['Deployment/etl-scheduler', 'Deployment/etl-worker', 'Secret/etl-client-tls', 'Secret/etl-tls'],
  'Service/etl-scheduler',
];

describe('a static cluster on Kubernetes that is deployed', () => {
  let server: Server;
  beforeEach(() => {
    server = new Server();
  });

  function plan(executor: Partial<KubernetesExecutor> = {}, me = 'laptop/ana'): Promise<Plan> {
    const whole = {
      name: 'pods',
      kind: 'kubernetes',
      image: 'good',
      namespace: 'flows',
      ...executor,
    } as const;
    const options = { networkPolicy: false, dashboard: false };
    return planDeployment(server.api, deploymentShape('etl', whole, options, loadYaml), '', me, signal);
  }
  const carry = (planned: Plan, until = signal, stage: (text: string) => void = () => undefined) =>
    carryOut(server.api, planned, { signal: until, log: new MemoryLog(), stage });
  const fails = async (work: Promise<void>, message: RegExp) => {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    return error;
  };

  it('is not taken from somebody who plans the same name at the same time', async () => {
    const [first, second] = [await plan({}, 'laptop/ana'), await plan({ n_workers: 5 }, 'desk/ben')];
    await carry(first);
    const made = [...server.objects.values()];
    await fails(carry(second), /^There is a Secret etl-tls in flows by now: somebody else has made it$/);
    assert.deepEqual([...server.objects.values()], made);
    assert.equal((await plan({ n_workers: 5 }, 'desk/ben')).deployer, 'laptop/ana');
    assert.deepEqual((await plan({}, 'desk/ben')).changes, [], 'it stays hers');
  });

  it('leaves what others have put in the place of its objects when it fails', async () => {
    const planned = await plan({ image: 'bad' });
    await fails(
      carry(
        planned,
        signal,
        (text) => void (text === 'starting the scheduler' && server.replace('Service/etl-scheduler')),
      ),
      /does not start/,
    );
    assert.deepEqual(server.keys(), ['Service/etl-scheduler']);
  });

  it('leaves nothing where the answer to a creation was lost', async () => {
    const planned = await plan();
    const { objects } = server;
    server.before = (verb, key) => {
      if (`${verb} ${key}` !== 'create Service/etl-scheduler') return;
      const { apply } = planned.changes.find(({ object }) => object.kind === 'Service') ?? {};
      if (apply) server.put({ ...apply, metadata: { ...apply.metadata, uid: randomUUID() } });
      throw Object.assign(new Error('fetch failed'), { cause: new Error('socket hang up') });
    };
    await fails(carry(planned), /does not answer/);
    assert.deepEqual([...objects.keys()], []);
  });

  it('is not changed over a change of somebody else', async () => {
    await carry(await plan({ n_workers: 4 }));
    const mine = await plan({ n_workers: 3 });
    await carry(await plan({ n_workers: 7 }));
    await fails(carry(mine), /^The Deployment etl-worker in flows is no longer as you saw it$/);
    assert.equal(server.replicas('Deployment/etl-worker'), 7);
  });

  it('is deleted as it was seen, and not what has its names since', async () => {
    await carry(await plan());
    const seen = [...server.objects.values()].map(nameOf);
    server.replace('Secret/etl-tls');
    await removeObjects(server.api, 'etl', seen);
    assert.deepEqual(server.keys(), ['Secret/etl-tls']);
  });

  it('keeps the size that its scheduler gave it, through updates and such that fail', async () => {
    const adapt_kwargs = { minimum: 0, maximum: 9 };
    await carry(await plan({ adapt_kwargs }));
    server.scale('Deployment/etl-worker', 3);
    const bad = await plan({ adapt_kwargs, image: 'bad' });
    server.scale('Deployment/etl-worker', 6); // while the user looks at the difference
    const grows = (text: string) =>
      void (text === 'starting the scheduler' && server.scale('Deployment/etl-worker', 8));
    await fails(carry(bad, signal, grows), /does not start/);
    assert.equal(server.replicas('Deployment/etl-worker'), 8);
    assert.deepEqual((await plan({ adapt_kwargs })).changes, []);
  });

  it('says what is left where it can’t take back what it did, and offers to delete that', async () => {
    const planned = await plan();
    const stop = new AbortController();
    server.before = (verb) => {
      if (verb === 'delete') throw refusal(403, 'secrets "etl-tls" is forbidden');
    };
    const cancelled = carry(planned, stop.signal, (text) => void (text === 'creating it' && stop.abort()));
    await assert.rejects(cancelled, { name: 'AbortError' });
    const later = new AbortController();
    server.before = (verb, key) => {
      if (key === 'Service/etl-scheduler') later.abort();
      if (verb === 'delete' && key.startsWith('Secret')) throw refusal(403, 'you may not');
    };
    const error = await fails(
      carry(await plan(), later.signal),
      /^etl is cancelled\. This is left of it: Secret etl-tls, Secret etl-client-tls \(you may not\)$/,
    );
    assert.ok(error.action?.kind === 'undeploy');
    assert.equal(error.action.pods.name, 'etl');
    assert.deepEqual(server.keys(), ['Secret/etl-client-tls', 'Secret/etl-tls']);
  });

  it('says what an update does to workers', async () => {
    await carry(await plan({ n_workers: 10 }));
    assert.deepEqual(server.keys(), all);
    const told = async (executor: Partial<KubernetesExecutor>) => warningsOf(await plan(executor));
    const lost = 'What runs there, and results that are held only there, are lost.';
    assert.deepEqual(await told({ n_workers: 2 }), ['8 workers end at once.', lost]);
    assert.deepEqual(await told({ n_workers: 12 }), []);
    assert.deepEqual(await told({ n_workers: 10, limits: { cpu: 2 } }), [
      'All of its workers are replaced, half of them at a time (options of Dask, requests and limits).',
      lost,
    ]);
    const replaced = async (executor: Partial<KubernetesExecutor>) =>
      (await plan({ n_workers: 10, ...executor })).replacesWorkers;
    assert.deepEqual(await replaced({ annotations: { note: 'x' } }), ['annotations']);
    assert.deepEqual(await replaced({ env: { A: '1' } }), ['variables']);
    await carry(await plan({ n_workers: 10, env: { A: '1' } }));
    assert.deepEqual(await replaced({ env: { A: '2' } }), ['values of variables or certificates']);
    const values = await plan({ n_workers: 10, env: { A: '2' } });
    assert.ok(!values.restarts, 'its scheduler reads none of them');
    assert.deepEqual(
      values.changes.map(({ object }) => `${object.kind} ${object.name}`),
      ['Secret etl-env', 'Deployment etl-worker'],
    );
    await carry(await plan({ n_workers: 10 }));
    assert.deepEqual(await told({ n_workers: 10, image: 'other' }), [
      'Its scheduler starts again (image): what runs there is lost.',
      'All of its workers are replaced, half of them at a time (image).',
    ]);
  });
});
