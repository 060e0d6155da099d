import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesApi } from '../../../src/backends/kubernetes/kubernetesApi.ts';
import {
  mostNamespaces,
  type NamespaceQuestion,
  podNamespaces,
} from '../../../src/backends/kubernetes/podNamespaces.ts';

const refuse = (code = 403): never => {
  throw Object.assign(new Error('no'), { code });
};

interface Told {
  readonly everywhere?: boolean;
  /** Undefined: they may not be listed. */
  readonly namespaces?: readonly string[];
  /** Rights on pods that one has there. */
  readonly verbs?: (namespace: string) => readonly string[];
  /** Whether one may ask for one's rights. */
  readonly reviews?: boolean;
}

/** An API server with rights of its own, and what it is asked. */
function aServer({ everywhere = false, namespaces, verbs = () => [], reviews = true }: Told) {
  const asked: string[] = [];
  const api = {
    until: () => ({}),
    core: {
      listPodForAllNamespaces: async () => (everywhere ? { items: [] } : refuse()),
      listNamespace: async ({ limit }: { limit: number }) =>
        namespaces
          ? {
              items: namespaces.slice(0, limit).map((name) => ({ metadata: { name } })),
              metadata: { remainingItemCount: Math.max(0, namespaces.length - limit) },
            }
          : refuse(),
      listNamespacedPod: async ({ namespace }: { namespace: string }) => {
        asked.push(`list ${namespace}`);
        return verbs(namespace).includes('list') ? { items: [] } : refuse();
      },
    },
    authorization: {
      createSelfSubjectAccessReview: async ({ body }: { body: { spec: { resourceAttributes: never } } }) => {
        const { namespace, verb, resource } = body.spec.resourceAttributes as Record<string, string>;
        asked.push(`${verb} ${resource} ${namespace}`);
        if (!reviews) refuse();
        return { status: { allowed: verbs(namespace ?? '').includes(verb ?? '') } };
      },
    },
  };
  const find = (more: Partial<NamespaceQuestion> = {}) =>
    podNamespaces({
      ...{ api: api as unknown as KubernetesApi, named: ['mine'], timeoutMs: 5_000 },
      ...{ signal: new AbortController().signal, ...more },
    });
  return { api, asked, find };
}

const both = ['list', 'watch'];
const numbered = (n: number) => Array.from({ length: n }, (_, i) => `n${i}`);

describe('the namespaces in which pods may be read', () => {
  it('are all at once where the server allows it, and nothing else is asked', async () => {
    const { asked, find } = aServer({ everywhere: true, namespaces: ['a'] });
    assert.deepEqual(await find(), { namespaces: [null], leftOut: 0 });
    assert.deepEqual(asked, []);
  });

  it('are those that are named where namespaces may not be listed', async () => {
    const { asked, find } = aServer({});
    assert.deepEqual(await find({ named: ['mine', 'ours'] }), { namespaces: ['mine', 'ours'], leftOut: 0 });
    assert.deepEqual(asked, []);
  });

  it('are else those in which one may both list and watch, and those that are named', async () => {
    const verbs = (namespace: string) => ({ a: both, b: ['list'] })[namespace] ?? [];
    const { asked, find } = aServer({ namespaces: ['a', 'b', 'c', 'mine'], verbs });
    assert.deepEqual((await find()).namespaces, ['mine', 'a']);
    assert.deepEqual(asked.toSorted(), [
      ...['list pods a', 'list pods b', 'list pods c', 'watch pods a', 'watch pods b'],
    ]);
    assert.deepEqual((await find({ known: new Set(['a']) })).namespaces, ['mine', 'a']);
    assert.deepEqual(asked.slice(5).toSorted(), ['list pods b', 'list pods c', 'watch pods b']);
  });

  it('are tried where one may not ask for one’s rights', async () => {
    const verbs = (namespace: string) => (namespace === 'a' ? ['list'] : []);
    const { find } = aServer({ namespaces: ['a', 'b'], verbs, reviews: false });
    assert.deepEqual((await find()).namespaces, ['mine', 'a']);
  });

  it('are so many at the most, the named ones first, and how many are left out is told', async () => {
    const { find } = aServer({ namespaces: numbered(mostNamespaces + 30), verbs: () => both });
    const { namespaces, leftOut } = await find();
    assert.deepEqual(namespaces, ['mine', ...numbered(mostNamespaces - 1)]);
    assert.equal(leftOut, 31);
    // Those that may not be read are not left out.
    const last = aServer({
      namespaces: numbered(200),
      verbs: (namespace) => (Number(namespace.slice(1)) >= 195 ? both : []),
    });
    assert.deepEqual(await last.find(), {
      namespaces: ['mine', 'n195', 'n196', 'n197', 'n198', 'n199'],
      leftOut: 0,
    });
    const named = await last.find({ named: numbered(mostNamespaces + 1) });
    assert.deepEqual(named, { namespaces: numbered(mostNamespaces), leftOut: 180 });
  });

  it('are not asked for without end, neither of a server with thousands nor of one that does not answer', async () => {
    const many = aServer({ namespaces: numbered(5_000) });
    assert.deepEqual(await many.find(), { namespaces: ['mine'], leftOut: 4_500 });
    assert.equal(many.asked.length, 500);
    const silent = aServer({});
    silent.api.core.listPodForAllNamespaces = () => sleep(60_000, undefined as never, { ref: false });
    await assert.rejects(silent.find({ timeoutMs: 20 }), /no answer within 0.02 s/);
    const broken = aServer({});
    broken.api.core.listNamespace = async () => refuse(500);
    await assert.rejects(broken.find(), { code: 500 });
  });
});
