import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { V1Pod } from '@kubernetes/client-node';
import type { KubernetesApi } from '../../../src/backends/kubernetes/kubernetesApi.ts';
import { PodAccess } from '../../../src/backends/kubernetes/podAccess.ts';

const place = { context: 'prod', namespace: 'etl', server: 'https://prod:6443' };
const stamp = (n: number) => `2026-08-01T10:41:02.12345${n}789Z`;

/** A pod whose log is what the next of these says; an error refuses it. */
function bench(answers: readonly (Error | readonly string[])[], restartCount = 0) {
  const left = [...answers];
  const asked: object[] = [];
  const told: string[] = [];
  const container = { name: 'worker', image: '', imageID: '', ready: true, restartCount };
  const pod: V1Pod = {
    spec: { containers: [{ name: 'proxy' }, { name: 'worker' }] },
    metadata: { labels: { 'flow-clusters/role': 'worker' } },
    status: { containerStatuses: [{ ...container, containerID: 'a', state: { running: {} } }] },
  };
  const api = {
    place,
    log: async (_: string, container: string, options: object) => {
      asked.push({ container, ...options });
      const answer = left.shift();
      if (left.length === 0) pod.status = {};
      if (answer instanceof Error) throw answer;
      return Readable.from((answer ?? []).map((line) => `${line}\n`));
    },
  };
  const access = new PodAccess(api as unknown as KubernetesApi, () => pod);
  const follow = (previous = false) =>
    access.follow('pod-1', { tail: 9, signal: new AbortController().signal, previous }, ({ text }) =>
      told.push(text),
    );
  return { asked, told, follow };
}

const refusal = (code: number, message = '') =>
  Object.assign(new Error(String(code)), { code, body: JSON.stringify({ message }) });

describe('the log of a pod', () => {
  it('goes on where its connection was broken, without telling anything twice', async () => {
    const one = bench([
      [`${stamp(1)} one`, `${stamp(1)} as quick`],
      new Error('ECONNRESET'),
      [`${stamp(1)} one`, `${stamp(1)} as quick`, `${stamp(2)} two`],
    ]);
    await one.follow();
    assert.deepEqual(one.told, ['one', 'as quick', 'two']);
    const asked = { container: 'worker', timestamps: true, follow: true, tailLines: 9 };
    assert.deepEqual(one.asked, [asked, asked, asked]);
  });

  it('begins with that of the container before, which may be all that there is', async () => {
    const again = bench([[`${stamp(1)} last words`], [`${stamp(1)} last words`]], 1);
    await again.follow();
    assert.deepEqual(again.told, ['last words']);
    const gone = bench([refusal(400, 'previous terminated container not found'), [`${stamp(1)} new`]], 1);
    await gone.follow();
    assert.deepEqual(gone.told, ['new']);
    const before = bench([[`${stamp(1)} last words`]], 1);
    await before.follow(true);
    assert.deepEqual(before.told, ['last words']);
    assert.equal(before.asked.length, 1);
    const first = bench([]);
    await first.follow(true);
    assert.deepEqual(first.asked, [], 'there was none');
  });

  it('says in plain words that it may not be read', async () => {
    const message = 'pods "pod-1" is forbidden: User "me" cannot get resource "pods/log" in API group ""';
    await assert.rejects(
      bench([refusal(403, message)]).follow(),
      /^UserError: You may not get pods\/log in the namespace etl$/,
    );
  });
});
