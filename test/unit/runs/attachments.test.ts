import assert from 'node:assert/strict';
import type { Cluster } from '../../../src/core/cluster.ts';
import { UserError } from '../../../src/core/errors.ts';
import { type ExistingExecutor, readExecutors } from '../../../src/core/executor.ts';
import { ClusterManager, type Watch } from '../../../src/core/manager.ts';
import type { PodScheduler } from '../../../src/core/podScheduler.ts';
import type { Security } from '../../../src/core/security.ts';
import { Store } from '../../../src/core/store.ts';
import { Attachments, attachedKey, beforeKey } from '../../../src/runs/attachments.ts';
import { MemoryLog } from '../../support/host.ts';
import { infoOf } from '../core/samples.ts';

const prod: ExistingExecutor = { name: 'prod', kind: 'existing', address: 'tls://prod:8786' };
const security: Security = { ca: 'CA', cert: 'CERT', key: 'KEY' };
const files = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' };

const pods: PodScheduler = {
  ...{ context: 'prod', server: 'https://prod:6443', namespace: 'analytics', maker: 'operator', name: 'etl' },
  ...{ selector: 'dask.org/cluster-name=etl', port: 8786, dashboardPort: 8787 },
};

const noMembers = () => ({ dispose: () => undefined });

/** What stays when a window is closed. */
class Kept {
  readonly memory = new Map<string, unknown>();
  readonly secrets = new Map<string, string>();
}

/** A window with schedulers that answer when they are told. */
function aWindow(kept = new Kept(), readable: Security | Error = security, noWay?: Error) {
  const store = new Store();
  const watched: { address: string; options: unknown; listener: Parameters<Watch>[1]; disposed: boolean }[] =
    [];
  const watch: Watch = (address, listener, options) => {
    const entry = { address, listener, options, disposed: false };
    watched.push(entry);
    return {
      dispose: () => {
        entry.disposed = true;
      },
    };
  };
  const log = new MemoryLog();
  const manager = new ClusterManager({ store, watch, log });
  const read: string[] = [];
  const links: string[] = [];
  const attachments = new Attachments({
    ...{ store, manager, log },
    memory: {
      get: (key) => kept.memory.get(key),
      // As VS Code does: what is kept is a copy.
      update: async (key, value) => void kept.memory.set(key, JSON.parse(JSON.stringify(value))),
    },
    secrets: {
      get: async (key) => kept.secrets.get(key),
      store: async (key, value) => void kept.secrets.set(key, value),
      delete: async (key) => void kept.secrets.delete(key),
    },
    link: async (pods) => {
      if (noWay) throw noWay;
      links.push(pods.name);
      const close = () => links.splice(links.indexOf(pods.name), 1);
      return { port: 4001, dashboardPort: 4002, onMembers: noMembers, close };
    },
    readCertificates: async ({ ca }) => {
      read.push(ca);
      if (readable instanceof Error) throw readable;
      return readable;
    },
  });
  const rows = () =>
    [...store.snapshot.clusters.values()].map((cluster) => `${cluster.name} ${textOf(cluster)}`);
  const answer = () => {
    for (const { listener, disposed } of watched) if (!disposed) listener.onInfo(infoOf());
  };
  const setExecutors = (...executors: ExistingExecutor[]) =>
    store.dispatch({ type: 'executors', executors: readExecutors(executors, '') });
  /** Closes the window, as the extension does. */
  const close = async () => {
    attachments.dispose();
    await manager.dispose();
    return kept;
  };
  return { store, manager, attachments, kept, watched, rows, answer, setExecutors, close, read, log, links };
}

const textOf = ({ state }: Cluster) => ('address' in state ? `${state.kind} ${state.address}` : state.kind);
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('clusters that a workspace is attached to', () => {
  it('have a row each, named after their executor, else after their place', async () => {
    const { attachments, rows, answer, store } = aWindow();
    await attachments.add({ address: 'tcp://10.0.0.5:8786' });
    await attachments.add({ address: 'tls://prod:8786', executor: prod });
    answer();
    assert.deepEqual(rows(), ['10.0.0.5:8786 running tcp://10.0.0.5:8786', 'prod running tls://prod:8786']);
    for (const { ownership } of store.snapshot.clusters.values()) assert.equal(ownership, 'attached');
    assert.deepEqual(attachments.addresses, ['tcp://10.0.0.5:8786', 'tls://prod:8786']);
  });

  it('have the dashboard that their gateway knows, in the next window too, and none where it knows of none', async () => {
    const first = aWindow();
    const dashboard = 'https://gateway.example/clusters/5d3f/status';
    const security = { ca: 'CA', cert: 'CERT', key: 'KEY' };
    await first.attachments.add({ address: 'gateway://10.0.0.5:8786/5d3f', given: { security, dashboard } });
    await first.attachments.add({ address: 'gateway://10.0.0.5:8786/77aa', given: { security } });
    const dashboards = ({ store }: typeof first) =>
      [...store.snapshot.clusters.values()].map(({ state }) => state.kind === 'running' && state.dashboard);
    first.answer();
    assert.deepEqual(dashboards(first), [dashboard, null]);
    const next = aWindow(await first.close());
    await next.attachments.restore();
    next.answer();
    assert.deepEqual(dashboards(next), [dashboard, null]);
    await next.close();
  });

  it('may be reached by a port of this machine: remembered by where they are, and closed with their row', async () => {
    const first = aWindow();
    let closed = 0;
    const link = { port: 3001, dashboardPort: 3002, onMembers: noMembers, close: () => (closed += 1) };
    await first.attachments.add({ address: 'tcp://127.0.0.1:3001', forwarded: { pods, link } });
    first.answer();
    assert.deepEqual(first.rows(), ['etl running tcp://127.0.0.1:3001']);
    const [{ state } = { state: undefined }] = first.store.snapshot.clusters.values();
    assert.equal(state?.kind === 'running' && state.dashboard, 'http://127.0.0.1:3002/status');
    assert.equal(first.kept.memory.get(beforeKey), undefined, 'such an address is of no use to anybody');

    const next = aWindow(await first.close());
    assert.equal(closed, 1);
    await next.attachments.restore();
    next.answer();
    assert.deepEqual(next.rows(), ['etl running tcp://127.0.0.1:4001']);
    assert.deepEqual(next.links, ['etl']);
    const [row = ''] = next.store.snapshot.clusters.keys();
    await next.attachments.detach(row);
    assert.deepEqual(next.links, []);
    assert.deepEqual(next.kept.memory.get(attachedKey), []);
  });

  it('are lost if nobody knows the way to them any more', async () => {
    const first = aWindow();
    const link = { port: 3001, dashboardPort: 3002, onMembers: noMembers, close: () => undefined };
    await first.attachments.add({ address: 'tcp://127.0.0.1:3001', forwarded: { pods, link } });
    const next = aWindow(
      await first.close(),
      security,
      new UserError('setting', 'There is no context "prod"'),
    );
    await next.attachments.restore();
    const [{ state } = { state: undefined }] = next.store.snapshot.clusters.values();
    assert.equal(state?.kind === 'lost' && state.reason, 'There is no context "prod"');
  });

  it('come back in the next window, lost ones too, and the one for runs is it again', async () => {
    const first = aWindow();
    await first.attachments.add({ address: 'tcp://a:1' });
    const used = await first.attachments.add({ address: 'tcp://b:1' });
    first.store.dispatch({ type: 'target', clusterId: used });
    const second = aWindow(await first.close());
    await second.attachments.restore();
    assert.deepEqual(second.rows(), ['a:1 starting', 'b:1 starting']);
    second.watched[0]?.listener.onLost('nothing listens there');
    second.watched[1]?.listener.onInfo(infoOf());
    assert.deepEqual(second.rows(), ['a:1 lost tcp://a:1', 'b:1 running tcp://b:1']);
    const target = second.store.snapshot.targetClusterId ?? '';
    assert.equal(second.store.snapshot.clusters.get(target)?.name, 'b:1');
    second.watched[0]?.listener.onInfo(infoOf());
    assert.deepEqual(second.rows()[0], 'a:1 running tcp://a:1');

    second.store.dispatch({ type: 'target', clusterId: undefined });
    const third = aWindow(await second.close());
    await third.attachments.restore();
    assert.equal(third.store.snapshot.targetClusterId, undefined);
    assert.equal(third.rows().length, 2);
  });

  it('are forgotten when they are detached, with their secret; only the address is offered again', async () => {
    const { attachments, kept, close, store, watched } = aWindow();
    const id = await attachments.add({ address: 'tls://a:1', given: { security } });
    assert.equal(kept.secrets.size, 1);
    store.dispatch({ type: 'target', clusterId: id });
    await attachments.detach(id);
    assert.equal(store.snapshot.clusters.size, 0);
    assert.equal(store.snapshot.targetClusterId, undefined);
    assert.ok(watched[0]?.disposed);
    assert.equal(kept.secrets.size, 0);
    assert.deepEqual(kept.memory.get(beforeKey), ['tls://a:1']);
    const next = aWindow(await close());
    await next.attachments.restore();
    assert.deepEqual(next.rows(), []);
  });

  it('keep their certificates as a secret, and nowhere else', async () => {
    const first = aWindow();
    await first.attachments.add({ address: 'tls://a:1', given: { security } });
    const kept = await first.close();
    assert.doesNotMatch(JSON.stringify([...kept.memory]), /CERT|KEY/);
    const second = aWindow(kept);
    await second.attachments.restore();
    assert.deepEqual(second.watched[0]?.options, { security });
    assert.deepEqual(await second.attachments.certificates('tls://a:1'), { security, files: undefined });
  });

  it('read certificates of files anew in each window', async () => {
    const first = aWindow();
    await first.attachments.add({ address: 'tls://a:1', given: { security, files } });
    const kept = await first.close();
    assert.equal(kept.secrets.size, 0);
    const second = aWindow(kept, { ca: 'NEW' });
    await second.attachments.restore();
    assert.deepEqual(second.watched[0]?.options, { security: { ca: 'NEW' } });
  });

  it('say that their certificates can’t be read, and come back when these are given', async () => {
    const first = aWindow();
    await first.attachments.add({ address: 'tls://a:1', given: { security, files } });
    await first.attachments.add({ address: 'tls://b:1', given: { security } });
    const kept = await first.close();
    kept.secrets.clear();
    const second = aWindow(kept, new UserError('setting', 'ca.pem is not there'));
    await second.attachments.restore();
    const reasons = [...second.store.snapshot.clusters.values()].map(
      ({ state }) => state.kind === 'lost' && state.reason,
    );
    assert.deepEqual(reasons, ['ca.pem is not there', 'its certificates are not kept on this machine']);
    assert.equal(second.watched.length, 0, 'nobody is asked without them');
    assert.equal(await second.attachments.certificates('tls://b:1'), undefined, 'they are asked for again');
    await second.attachments.add({ address: 'tls://b:1', given: { security } });
    second.answer();
    assert.deepEqual(second.rows(), ['a:1 lost tls://a:1', 'b:1 running tls://b:1']);
  });

  it('are attached once, however often that is asked for', async () => {
    const { attachments, rows, watched } = aWindow();
    const first = await attachments.add({ address: 'tcp://a:1' });
    assert.equal(await attachments.add({ address: 'tcp://a:1' }), first);
    assert.equal(watched.length, 1);
    const other = await attachments.add({ address: 'tcp://a:1', given: { security } });
    assert.notEqual(other, first, 'other certificates are a new try');
    assert.equal(rows().length, 1);
  });

  it('are not mixed up with other clusters of that name', async () => {
    const { attachments, rows, store } = aWindow();
    await attachments.add({ address: 'tcp://a:1', executor: { ...prod, address: 'tcp://a:1' } });
    const [cluster] = store.snapshot.clusters.values();
    assert.ok(cluster);
    store.dispatch({ type: 'cluster.added', cluster: { ...cluster, id: 'other', name: 'b:1' } });
    await attachments.add({ address: 'tcp://b:1' });
    assert.deepEqual(
      rows().map((row) => row.split(' starting')[0]),
      ['prod', 'b:1', 'b:1 2'],
    );
  });

  it('that are remembered in words of another version do no harm', async () => {
    const kept = new Kept();
    kept.memory.set(attachedKey, [{ address: 'tcp://a:1' }, 5]);
    const { attachments, rows } = aWindow(kept);
    await attachments.restore();
    assert.deepEqual(rows(), []);
  });

  it('are not kept twice when the user attaches one while they come back', async () => {
    const first = aWindow();
    await first.attachments.add({ address: 'tcp://a:1' });
    await first.attachments.add({ address: 'tls://b:1', given: { security } });
    const second = aWindow(await first.close());
    const restoring = second.attachments.restore();
    await second.attachments.add({ address: 'tcp://a:1' });
    await restoring;
    assert.deepEqual(second.rows().sort(), ['a:1 starting', 'b:1 starting']);
    assert.equal((second.kept.memory.get(attachedKey) as unknown[]).length, 2);
  });

  describe('of an executor', () => {
    const withFiles = { ...prod, security: files };

    it('are found by it, and by their address', async () => {
      const { attachments } = aWindow();
      assert.equal(attachments.find(prod), undefined);
      const id = await attachments.add({ address: 'tls://prod:8786', executor: prod });
      assert.equal(attachments.find(prod), id);
      const other = await attachments.add({ address: 'tcp://b:1' });
      assert.equal(attachments.find({ ...prod, name: 'b', address: 'b:1' }), other);
      assert.equal(attachments.find({ ...prod, name: 'c', address: 'http://b:8787/status' }), undefined);
    });

    it('go by the address that the settings say now, and stay the one for runs', async () => {
      const { attachments, setExecutors, rows, watched, store, kept } = aWindow();
      setExecutors(prod);
      const id = await attachments.add({ address: 'tls://prod:8786', executor: prod });
      store.dispatch({ type: 'target', clusterId: id });
      setExecutors(prod);
      assert.equal(watched.length, 1, 'nothing has changed');
      const moved = { ...prod, address: 'tls://prod:9999' };
      setExecutors(moved);
      await settled();
      assert.equal(watched.length, 2);
      assert.ok(watched[0]?.disposed);
      watched[1]?.listener.onLost('nothing listens there');
      assert.deepEqual(rows(), ['prod lost tls://prod:9999']);
      assert.equal(store.snapshot.targetClusterId, attachments.find(moved));
      assert.equal(attachments.find(prod), undefined);
      assert.match(JSON.stringify(kept.memory.get(attachedKey)), /prod:9999/);
    });

    it('go by the certificates that the settings say now', async () => {
      const { attachments, setExecutors, watched, read } = aWindow();
      await attachments.add({
        address: 'tls://prod:8786',
        executor: prod,
        given: { security: { ca: 'OLD' } },
      });
      setExecutors(withFiles);
      await settled();
      assert.deepEqual(read, ['ca.pem']);
      assert.deepEqual(watched.at(-1)?.options, { security });
      setExecutors(withFiles);
      await settled();
      assert.equal(read.length, 1);
      assert.deepEqual(await attachments.certificates('tls://prod:8786', withFiles), { security, files });
    });

    it('stay as they are while the settings make no sense, or name a dashboard', async () => {
      const { attachments, setExecutors, rows, log } = aWindow();
      await attachments.add({ address: 'tls://prod:8786', executor: prod });
      setExecutors({ ...prod, address: 'tls://prod:' });
      setExecutors({ ...prod, address: 'http://prod:8787/status' });
      setExecutors();
      await settled();
      assert.deepEqual(rows(), ['prod starting']);
      assert.match(log.lines.join(), /executor prod: “tls:\/\/prod:” is not the address/);
      assert.equal(attachments.find({ ...prod, address: 'http://prod:8787/status' }), undefined);
    });

    it('have changed while no window was open', async () => {
      const first = aWindow();
      await first.attachments.add({ address: 'tls://prod:8786', executor: prod });
      const second = aWindow(await first.close());
      second.setExecutors({ ...prod, address: 'tcp://new:1' });
      await second.attachments.restore();
      second.answer();
      assert.deepEqual(second.rows(), ['prod running tcp://new:1']);
    });
  });

  describe('that a run waits for', () => {
    it('are ready when they answer', async () => {
      const { attachments, answer } = aWindow();
      const id = await attachments.add({ address: 'tcp://a:1' });
      const ready = attachments.ready(id);
      await settled();
      answer();
      await ready;
      await attachments.ready(id);
    });

    it('may be given up, or go', async () => {
      const { attachments } = aWindow();
      const id = await attachments.add({ address: 'tcp://a:1' });
      const stop = new AbortController();
      const ready = attachments.ready(id, stop.signal);
      stop.abort(new UserError('cancelled', 'by the user'));
      await assert.rejects(ready, { reason: 'cancelled' });
      const gone = attachments.ready(id);
      await attachments.detach(id);
      await assert.rejects(gone, { reason: 'cancelled' });
    });
  });
});
