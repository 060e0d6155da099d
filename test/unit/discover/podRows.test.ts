import assert from 'node:assert/strict';
import { ClusterManager } from '../../../src/core/manager.ts';
import type { PodScheduler } from '../../../src/core/podScheduler.ts';
import { Store } from '../../../src/core/store.ts';
import { clusterNodes } from '../../../src/core/tree.ts';
import { PodRows } from '../../../src/discover/podRows.ts';
import { MemoryLog } from '../../support/host.ts';

const etl: PodScheduler = {
  ...{ context: 'prod', server: 'https://prod:6443', namespace: 'analytics', maker: 'operator', name: 'etl' },
  ...{ selector: 'dask.org/cluster-name=etl', port: 8786, dashboardPort: 8787 },
};
const seen = (text = 'running', scheduler = etl) => ({ scheduler, text, sinceMs: 0 });

describe('rows of clusters on Kubernetes', () => {
  let watched: string[];
  let store: Store;
  let manager: ClusterManager;
  let rows: PodRows;

  beforeEach(() => {
    watched = [];
    store = new Store();
    const watch = (address: string) => {
      watched.push(address);
      return { dispose: () => undefined };
    };
    manager = new ClusterManager({ store, watch, log: new MemoryLog() });
    rows = new PodRows(store);
  });

  const shown = () =>
    clusterNodes(store.snapshot, 0).map(({ label, description }) => `${label}: ${description}`);

  it('say whose they are and how they are, and go with them; nothing is connected to', () => {
    rows.show([seen('its pod starts'), seen('running', { ...etl, maker: 'helm', name: 'prod' })]);
    assert.deepEqual(shown(), [
      'etl: its pod starts · discovered · operator · analytics/etl',
      'prod: running · discovered · Helm chart · analytics/prod',
    ]);
    rows.show([seen()]);
    assert.deepEqual(shown(), ['etl: running · discovered · operator · analytics/etl']);
    assert.deepEqual(watched, []);
    const [row] = clusterNodes(store.snapshot, 0);
    assert.equal(row?.children, undefined);
    assert.equal(row?.context, 'cluster.discovered.static.seen');
    assert.match(row?.tooltip ?? '', /Found on Kubernetes: operator · analytics\/etl, by the context prod/);
    rows.dispose();
    assert.deepEqual(shown(), []);
  });

  it('make room for one that is attached, whose dashboard is where its port leads, and come back', () => {
    rows.show([seen()]);
    const id = manager.attach({
      name: 'etl',
      address: 'tcp://127.0.0.1:4001',
      forwarded: { pods: etl, dashboardPort: 4002 },
    });
    const [row, ...more] = clusterNodes(store.snapshot, 0);
    assert.deepEqual(more, []);
    assert.match(row?.description ?? '', /attached · operator · analytics\/etl$/);
    manager.detach(id);
    assert.deepEqual(shown(), ['etl: running · discovered · operator · analytics/etl']);
  });

  it('stay through a stop of all clusters: they are nobody’s here', async () => {
    rows.show([seen()]);
    const [id = ''] = store.snapshot.clusters.keys();
    await manager.stop(id, { force: true });
    assert.equal(shown().length, 1);
  });
});
