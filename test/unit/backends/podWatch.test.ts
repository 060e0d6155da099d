import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { KubernetesApi } from '../../../src/backends/kubernetes/kubernetesApi.ts';
import { PodWatch, type PodWatchOptions } from '../../../src/backends/kubernetes/podWatch.ts';

type Listen = (path: string, version: string, tell: (type: string, object: unknown) => void) => unknown;

const aPod = (name: string, resourceVersion: string, namespace = 'mine'): V1Pod => ({
  metadata: { name, namespace, resourceVersion },
});

/** An API server that answers as it is told, and notes what it is asked. */
function watching(
  list: (where: string, count: number) => unknown,
  listen: Listen,
  more: Partial<PodWatchOptions> = {},
) {
  const asked: string[] = [];
  const news: string[] = [];
  const stop = new AbortController();
  const answer = async (where: string) => {
    asked.push(`list ${where}`);
    return list(where, asked.filter((one) => one.startsWith('list')).length);
  };
  const api = {
    namespace: 'mine',
    login: async () => undefined,
    until: () => ({}),
    core: {
      listNamespacedPod: ({ namespace }: { namespace: string }) => answer(namespace),
      listPodForAllNamespaces: () => answer('everywhere'),
    },
    watch: async (
      path: string,
      query: Record<string, string>,
      signal: AbortSignal,
      tell: Parameters<Listen>[2],
    ) => {
      asked.push(`watch ${path} from ${query.resourceVersion}`);
      const going = await listen(path, query.resourceVersion ?? '', tell);
      if (going === 'on') await sleep(10_000, undefined, { signal }).catch(() => undefined);
    },
  } as unknown as KubernetesApi;
  const listed = Promise.withResolvers<void>();
  const watch = new PodWatch({
    ...{ api, selector: 'a=b', signal: stop.signal },
    onPod: ({ metadata }) => news.push(`+${metadata?.name}`),
    onGone: ({ metadata }) => news.push(`-${metadata?.name}`),
    onTrouble: (error) => news.push(error instanceof Error ? error.message : JSON.stringify(error)),
    onListed: () => listed.resolve(),
    ...more,
  });
  const running = watch.run();
  const end = async () => {
    stop.abort();
    await running;
    return { asked, news };
  };
  return { watch, listed: listed.promise, end, asked, news };
}

const listOf = (version: string, ...items: V1Pod[]) => ({ items, metadata: { resourceVersion: version } });

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

describe('a watch of pods', () => {
  it('goes on from where it was after its connection has ended', async () => {
    let count = 0;
    const watched = watching(
      () => listOf('1', aPod('a', '1')),
      (_path, _version, tell) => {
        count += 1;
        if (count > 1) return 'on';
        tell('ADDED', aPod('b', '5'));
        tell('DELETED', aPod('a', '6'));
        tell('BOOKMARK', { metadata: { resourceVersion: '9' } });
        return 'ended';
      },
    );
    await until(() => watched.asked.length === 3);
    const { asked, news } = await watched.end();
    assert.deepEqual(asked, [
      'list mine',
      'watch /api/v1/namespaces/mine/pods from 1',
      'watch /api/v1/namespaces/mine/pods from 9',
    ]);
    assert.deepEqual(news, ['+a', '+b', '-a']);
  });

  it('lists again at once where its version is too old, and tells what has gone meanwhile', async () => {
    const watched = watching(
      (_where, count) =>
        count === 1 ? listOf('1', aPod('a', '1'), aPod('b', '1')) : listOf('7', aPod('b', '1')),
      (_path, version, tell) => {
        if (version !== '1') return 'on';
        tell('ERROR', { code: 410 });
        return 'ended';
      },
    );
    await until(() => watched.asked.at(-1)?.endsWith('from 7') === true);
    const { asked, news } = await watched.end();
    assert.deepEqual(asked.filter((one) => one.startsWith('list')).length, 2);
    assert.deepEqual(news, ['+a', '+b', '-a']);
  });

  it('rests between watches that end at once, and lists that are too old at once', async () => {
    const ended = watching(
      () => listOf('1'),
      () => 'ended',
    );
    const old = watching(
      () => listOf('1'),
      (_path, _version, tell) => tell('ERROR', { code: 410 }),
    );
    await sleep(700);
    const of = async ({ end }: typeof old, what: string) =>
      (await end()).asked.filter((one) => one.startsWith(what)).length;
    assert.equal(await of(ended, 'watch'), 2);
    assert.ok((await of(old, 'list')) <= 4);
  });

  it('looks into another namespace or into all, and keeps those of the same name apart there', async () => {
    const one = watching(
      () => listOf('1', aPod('a', '1')),
      () => 'on',
      { namespace: 'theirs' },
    );
    await until(() => one.asked.length === 2);
    assert.deepEqual((await one.end()).asked, ['list theirs', 'watch /api/v1/namespaces/theirs/pods from 1']);
    const all = watching(
      () => listOf('1', aPod('a', '1', 'x'), aPod('a', '1', 'y')),
      () => 'on',
      { namespace: null },
    );
    await until(() => all.asked.length === 2);
    assert.deepEqual([...all.watch.pods.keys()], ['x/a', 'y/a']);
    assert.deepEqual((await all.end()).asked, ['list everywhere', 'watch /api/v1/pods from 1']);
  });

  it('rests longer after each failure, and gives up a server that says nothing', async () => {
    const silent = watching(
      () => new Promise(() => undefined),
      () => 'on',
      { listTimeoutMs: 20 },
    );
    await until(() => silent.news.length === 2);
    const { asked, news } = await silent.end();
    assert.equal(asked.length, 2, 'after half a second, then after one');
    assert.deepEqual(news, ['no answer within 0.02 s', 'no answer within 0.02 s']);
  });
});
