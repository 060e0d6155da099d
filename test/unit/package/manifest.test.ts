import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster, ClusterState } from '../../../src/core/cluster.ts';
import { readExecutors } from '../../../src/core/executor.ts';
import type { ClusterMember } from '../../../src/core/members.ts';
import type { RunState } from '../../../src/core/run.ts';
import { emptySnapshot, type Snapshot } from '../../../src/core/store.ts';
import { clusterNodes, executorNodes, runNodes, type TreeNode } from '../../../src/core/tree.ts';
import { Commands } from '../../../src/protocol/commands.ts';
import { aCluster, aMember, aRun, aWorker, infoOf } from '../core/samples.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const text = (name: string) => readFileSync(join(root, name), 'utf8');

interface MenuItem {
  readonly command: string;
  readonly when?: string;
  readonly group?: string;
}

interface Manifest {
  readonly contributes: {
    readonly commands: readonly { command: string; title: string; icon?: string; category?: string }[];
    readonly menus: Readonly<Record<string, readonly MenuItem[]>>;
    readonly keybindings: readonly { command: string; key: string; mac: string; when: string }[];
    readonly views: Readonly<Record<string, readonly { id: string }[]>>;
    readonly viewsWelcome: readonly { view: string }[];
    readonly configuration: { readonly properties: Readonly<Record<string, Record<string, unknown>>> };
    readonly walkthroughs: readonly {
      steps: readonly { media: { markdown: string }; completionEvents?: readonly string[] }[];
    }[];
  };
  readonly main: string;
  readonly icon: string;
}

const manifest = JSON.parse(text('package.json')) as Manifest;
const { commands, keybindings, menus, views, viewsWelcome, configuration, walkthroughs } =
  manifest.contributes;
const ids = commands.map(({ command }) => command);

/** All of the product's TypeScript. */
function sources(folder = 'src'): string {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .map((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return sources(path);
      return path.endsWith('.ts') ? text(path) : '';
    })
    .join('\n');
}

describe('package.json', () => {
  it('contributes the commands that there are, once each, in one category', () => {
    assert.deepEqual([...ids].sort(), Object.values(Commands).sort());
    assert.equal(new Set(ids).size, ids.length);
    for (const { command, category } of commands) assert.equal(category, 'Flow Clusters', command);
  });

  it('has menus of commands that there are; what stands in a row has an icon', () => {
    for (const [menu, items] of Object.entries(menus)) {
      for (const { command, group } of items) {
        const found = commands.find((one) => one.command === command);
        assert.ok(found, `${menu}: ${command}`);
        if (/^(inline|navigation)/.test(group ?? '')) assert.ok(found.icon, `${menu}: ${command}`);
      }
    }
  });

  it('has keys only for commands that there are, and only where they make sense', () => {
    for (const { command, key, mac, when } of keybindings) {
      assert.ok(ids.includes(command), command);
      assert.equal(mac, key.replaceAll('ctrl', 'cmd'));
      assert.match(when, /flowClusters\./);
      assert.ok(text('README.md').toLowerCase().includes(key), `${key} is not in the README`);
    }
  });

  it('offers in the context menu, which keys reach, what a row has as buttons', () => {
    const items = menus['view/item/context'] ?? [];
    const inMenu = (wanted: string) =>
      items.some(({ command, group = '' }) => command === wanted && !group.startsWith('inline'));
    for (const { command } of items) assert.ok(inMenu(command), command);
  });

  it('has a text for each key, and a key for each text', () => {
    const texts = JSON.parse(text('package.nls.json')) as Record<string, string>;
    const used = [...text('package.json').matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key ?? '');
    assert.deepEqual([...new Set(used)].sort(), Object.keys(texts).sort());
    for (const [key, value] of Object.entries(texts)) assert.notEqual(value.trim(), '', key);
    const linked = [
      ...Object.values(texts)
        .join(' ')
        .matchAll(/command:(flowClusters\.[\w.]+)/g),
    ];
    for (const [, command = ''] of linked) assert.ok(ids.includes(command), command);
  });

  it('declares the settings that the code reads, and no others', () => {
    const declared = Object.keys(configuration.properties);
    const code = sources();
    const named = [...code.matchAll(/\bflowClusters\.(\w+)\b(?!\.)/g)].map(([whole]) => whole);
    const read = [
      ...code.matchAll(
        /getConfiguration\(\s*'flowClusters'[^)]*\)\s*\.(?:get|update)(?:<[^>]*>)?\(\s*'(\w+)'/g,
      ),
    ]
      .map(([, key]) => `flowClusters.${key}`)
      .concat(
        [...code.matchAll(/settings\.get(?:<[^>]*>)?\(\s*'(\w+)'/g)].map(([, key]) => `flowClusters.${key}`),
      );
    for (const key of read) assert.ok(declared.includes(key), `${key} is read, but not declared`);
    for (const key of declared) {
      assert.ok([...read, ...named].includes(key), `${key} is declared, but never read`);
    }
  });

  it('offers the options of an executor that the core reads', () => {
    const { items } = configuration.properties['flowClusters.executors'] as {
      items: { oneOf: { properties: Record<string, object>; required: string[] }[] };
    };
    const local = {
      name: 'a',
      kind: 'local',
      n_workers: 1,
      adapt_kwargs: { minimum: 1, maximum: 4 },
      threads_per_worker: 1,
      processes: true,
      memory_limit: 'auto',
      scheduler_port: 0,
    };
    const docker = {
      ...{
        name: 'd',
        kind: 'docker',
        image: 'etl',
        n_workers: 1,
        threads_per_worker: 1,
        memory_limit: '1GiB',
      },
      ...{ adapt_kwargs: {}, cpus: 1, env: {}, volumes: ['a:/b'], network: 'db', resources: { GPU: 1 } },
      ...{ worker_options: {}, gpus: 1, pull: 'never', docker_context: 'dev', docker_host: 'unix:///a.sock' },
      idle_timeout: 60,
    };
    const quantities = { requests: { cpu: '500m' }, limits: { cpu: 1, memory: '2Gi' } };
    const kubernetes = {
      ...{ name: 'k', kind: 'kubernetes', image: 'etl', context: 'kind', kubeconfig: '~/.kube/kind' },
      ...{ namespace: 'flows', n_workers: 1, threads_per_worker: 1, memory_limit: '1GiB', adapt_kwargs: {} },
      ...{ ...quantities, scheduler: { ...quantities, pod_template: {} }, env: {}, resources: { GPU: 1 } },
      ...{ image_pull_policy: 'Never', image_pull_secrets: ['login'], service_account: 'flows' },
      ...{ node_selector: {}, tolerations: [], volumes: [], volume_mounts: [], labels: {}, annotations: {} },
      ...{ pod_template: 'spec: {}', worker_options: {}, idle_timeout: 60, start_timeout: 60 },
      operator: true,
    };
    const security = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' };
    const existing = { name: 'b', kind: 'existing', address: 'tls://10.0.0.5:8786', security };
    const localDask = { name: 'c', kind: 'localDask', scheduler: 'threads', num_workers: 2 };
    const clusterClass = {
      ...{ name: 's', kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' },
      ...{ cluster_kwargs: { cores: 4 }, n_workers: 1, adapt_kwargs: {}, start_timeout: 60 },
    };
    const all = [local, docker, kubernetes, clusterClass, existing, localDask];
    assert.deepEqual(
      items.oneOf.map(({ properties }) => Object.keys(properties).sort()),
      all.map((executor) => Object.keys(executor).sort()),
    );
    assert.deepEqual(readExecutors(all, 'a').problems, []);
    for (const { required } of items.oneOf) assert.deepEqual(required.slice(0, 2), ['name', 'kind']);
    // Whoever wrote more than a timer takes would wait no time at all.
    const timed = items.oneOf.flatMap(({ properties: { start_timeout } }) => start_timeout ?? []);
    const [maximum = 0, ...others] = (timed as { maximum: number }[]).map((one) => one.maximum);
    assert.deepEqual(others, [maximum]);
    for (const one of [kubernetes, clusterClass]) {
      const read = (start_timeout: number) => readExecutors([{ ...one, start_timeout }], one.name).problems;
      assert.deepEqual(read(maximum), []);
      assert.match(read(maximum + 1)[0]?.message ?? '', /start_timeout must be .* to 604800/);
    }
  });

  it('names files, views and events that there are', () => {
    const viewIds = Object.values(views).flatMap((of) => of.map(({ id }) => id));
    for (const { view } of viewsWelcome) assert.ok(viewIds.includes(view), view);
    for (const id of viewIds) assert.ok(sources().includes(`'${id}'`), id);
    for (const view of text('package.json').matchAll(/view == ([\w.]+)/g))
      assert.ok(viewIds.includes(view[1] ?? ''));
    assert.ok(text(manifest.icon));
    for (const { media, completionEvents } of walkthroughs.flatMap(({ steps }) => steps)) {
      assert.ok(text(media.markdown).length > 0, media.markdown);
      for (const event of completionEvents ?? [])
        assert.ok(ids.includes(event.replace('onCommand:', '')), event);
    }
  });

  it('goes by context keys that the code sets', () => {
    const keys = [...text('package.json').matchAll(/"when": ".*?\b(flowClusters\.(?:has|file)\w+)/g)];
    assert.ok(keys.length > 0);
    for (const [, key] of keys) assert.ok(sources().includes(`'${key}'`), key);
  });
});

describe('actions of a row', () => {
  const place = { sinceMs: 0, address: 'tcp://127.0.0.1:1', dashboard: 'http://127.0.0.1:2/status' };
  const clusterStates: ClusterState[] = [
    { kind: 'starting', sinceMs: 0, stage: '' },
    { kind: 'running', ...place },
    { kind: 'lost', ...place, reason: '' },
    { kind: 'stopping', sinceMs: 0 },
    { kind: 'failed', sinceMs: 0, failure: { message: '' } },
  ];

  /** The commands that the view's menu offers for a row, without the noun: `stop, logs`. */
  function actions(view: string, node: TreeNode | undefined): string {
    assert.ok(node);
    const offered = (menus['view/item/context'] ?? []).filter(({ when = '' }) =>
      when.split(' && ').every((clause) => {
        const [left, operator, right = ''] = clause.split(/ (==|=~) /);
        const value = left === 'view' ? view : left === 'viewItem' ? node.context : undefined;
        assert.ok(value !== undefined, `clause that the test cannot read: ${clause}`);
        return operator === '==' ? value === right : new RegExp(right.slice(1, -1)).test(value);
      }),
    );
    const names = offered.map(({ command }) => command.split('.').slice(2).join('.'));
    return [...new Set(names)].sort().join(' ');
  }

  const clusterRow = (state: ClusterState, other: object = {}, target?: string) => {
    const cluster = { ...aCluster, ...other, state, info: infoOf(aWorker(0)) };
    const snapshot: Snapshot = {
      ...emptySnapshot,
      clusters: new Map([['c1', cluster]]),
      targetClusterId: target,
    };
    return clusterNodes(snapshot, 0)[0];
  };

  it('of a static cluster of ours', () => {
    const offered = clusterStates.map((state) => [
      state.kind,
      actions('flowClusters.clusters', clusterRow(state)),
    ]);
    assert.deepEqual(offered, [
      ['starting', 'stop'],
      ['running', 'check copyAddress dashboard insertClient logs makeActive scale stop useForRuns'],
      ['lost', 'copyAddress insertClient logs stop'],
      ['stopping', ''],
      ['failed', 'dismiss logs'],
    ]);
    const target = clusterRow(clusterStates[1] as ClusterState, {}, 'c1');
    const used = 'check copyAddress dashboard insertClient logs makeActive scale stop stopUsing';
    assert.equal(actions('flowClusters.clusters', target), used);
  });

  it('of a temporary cluster', () => {
    const offered = clusterStates.map((state) => {
      return actions('flowClusters.clusters', clusterRow(state, { lifetime: 'temporary' }));
    });
    assert.deepEqual(offered, [
      'stop',
      'copyAddress dashboard insertClient logs makeActive scale stop',
      'copyAddress insertClient logs stop',
      '',
      'dismiss logs',
    ]);
  });

  it('of an attached cluster', () => {
    const offered = clusterStates.map((state) => [
      state.kind,
      actions('flowClusters.clusters', clusterRow(state, { ownership: 'attached' })),
    ]);
    assert.deepEqual(offered.slice(0, 3), [
      ['starting', 'detach'],
      ['running', 'check copyAddress dashboard detach insertClient logs makeActive useForRuns'],
      ['lost', 'copyAddress detach insertClient logs'],
    ]);
    const target = clusterRow(clusterStates[1] as ClusterState, { ownership: 'attached' }, 'c1');
    const used = 'check copyAddress dashboard detach insertClient logs makeActive stopUsing';
    assert.equal(actions('flowClusters.clusters', target), used);
  });

  it('of one that was deployed on Kubernetes: it can be deleted, and is as all others else', () => {
    const pods = {
      ...{ context: 'kind', server: 'https://a', namespace: 'flows', maker: 'deployment', name: 'etl' },
      ...{ selector: 'a=b', port: 8786, dashboardPort: 8787 },
    };
    for (const [ownership, target] of [['attached'], ['attached', 'c1'], ['discovered']] as const) {
      const of = (other: object) =>
        actions(
          'flowClusters.clusters',
          clusterRow(clusterStates[1] as ClusterState, { ownership, ...other }, target),
        );
      assert.deepEqual(of({ pods }).split(' '), [...of({}).split(' '), 'undeploy'].sort());
    }
  });

  it('of a discovered cluster: what looks, and what leads the user there', () => {
    const offered = clusterStates.map((state) => {
      return actions('flowClusters.clusters', clusterRow(state, { ownership: 'discovered' }));
    });
    const [starting, running, lost] = offered;
    assert.equal(starting, '');
    assert.equal(running, 'attach check copyAddress dashboard insertClient logs makeActive');
    assert.equal(lost, 'attach copyAddress insertClient logs');
    const [, workers] =
      clusterRow(clusterStates[1] as ClusterState, { ownership: 'discovered' })?.children ?? [];
    assert.equal(actions('flowClusters.clusters', workers?.children?.[0]), 'logs');
  });

  it('of the active cluster, used for runs or not', () => {
    for (const use of ['stopUsing', 'useForRuns']) {
      const cluster = { ...aCluster, state: clusterStates[1] as ClusterState };
      const [row] = clusterNodes(
        {
          ...emptySnapshot,
          clusters: new Map([['c1', cluster]]),
          activeClusterId: 'c1',
          targetClusterId: use === 'stopUsing' ? 'c1' : undefined,
        },
        0,
      );
      const offered = `check clearActive copyAddress dashboard insertClient logs scale stop ${use}`;
      assert.equal(actions('flowClusters.clusters', row), offered);
    }
  });

  it('of a cluster that is not ours: it is never stopped or scaled', () => {
    for (const ownership of ['attached', 'discovered']) {
      for (const state of clusterStates) {
        const offered = actions('flowClusters.clusters', clusterRow(state, { ownership }));
        assert.doesNotMatch(offered, /\b(stop|scale|restart)\b/);
      }
    }
  });

  it('of a scheduler and of workers, those that have gone too', () => {
    const incident = { message: 'worker 0 was killed (signal 9)', atMs: 0, restarted: false };
    const row = clusterRow(clusterStates[1] as ClusterState, { incidents: [incident] });
    const [scheduler, workers, gone] = row?.children ?? [];
    assert.equal(actions('flowClusters.clusters', gone), 'logs');
    assert.equal(actions('flowClusters.clusters', scheduler), 'copyAddress dashboard insertClient logs');
    assert.equal(actions('flowClusters.clusters', workers?.children?.[0]), 'logs retire');
    const without = clusterRow({ kind: 'running', ...place, dashboard: null })?.children?.[0];
    assert.equal(actions('flowClusters.clusters', without), 'copyAddress insertClient logs');
  });

  it('of containers: a shell where one runs, also while its cluster starts', () => {
    const offered = (state: ClusterState, member: Partial<ClusterMember>, info = infoOf(aWorker(0))) => {
      const members = [aMember('scheduler', member), aMember('0', member), aMember('1', member)];
      const cluster: Cluster = { ...aCluster, state, members, info };
      const [row] = clusterNodes({ ...emptySnapshot, clusters: new Map([['c1', cluster]]) }, 0);
      const rows = (row?.children ?? []).flatMap((child) => [child, ...(child.children ?? [])]);
      return rows.map((one) => [one.label, actions('flowClusters.clusters', one)]);
    };
    const [starting, running] = clusterStates as [ClusterState, ClusterState];
    assert.deepEqual(offered(running, {}), [
      ['scheduler', 'copyAddress dashboard insertClient logs shell'],
      ['workers (1)', 'logs'],
      ['worker 0', 'logs retire shell'],
      ['worker 1', 'logs shell'],
    ]);
    assert.deepEqual(offered(running, { state: 'exited' }).at(-1), ['worker 1', 'logs']);
    assert.deepEqual(offered(starting, {}), [
      ['scheduler', 'logs shell'],
      ['worker 0', 'logs shell'],
      ['worker 1', 'logs shell'],
    ]);
  });

  it('of pods: a description as well, also of one that does not run', () => {
    const offered = (state: ClusterState, member: Partial<ClusterMember>) => {
      const members = ['scheduler', '0', '1'].map((who) => aMember(who, { kind: 'pod', ...member }));
      const cluster: Cluster = { ...aCluster, state, members, info: infoOf(aWorker(0)) };
      const [row] = clusterNodes({ ...emptySnapshot, clusters: new Map([['c1', cluster]]) }, 0);
      const rows = (row?.children ?? []).flatMap((child) => [child, ...(child.children ?? [])]);
      return rows.map((one) => [one.label, actions('flowClusters.clusters', one)]);
    };
    const [starting, running] = clusterStates as [ClusterState, ClusterState];
    assert.deepEqual(offered(running, {}), [
      ['scheduler', 'copyAddress dashboard describe insertClient logs shell'],
      ['workers (1)', 'logs'],
      ['worker 0', 'describe logs retire shell'],
      ['worker 1', 'describe logs shell'],
    ]);
    assert.deepEqual(offered(running, { state: 'exited' }).at(-1), ['worker 1', 'describe logs']);
    assert.deepEqual(offered(starting, { state: 'created' })[1], ['worker 0', 'describe logs']);
  });

  it('of workers by what they do', () => {
    const offered = (other: object, drains: object[] = []) => {
      const cluster = { ...aCluster, state: clusterStates[1] as ClusterState, drains, ownership: 'attached' };
      const clusters = new Map([['c1', { ...cluster, info: infoOf(aWorker(0, other)) } as Cluster]]);
      const [row] = clusterNodes({ ...emptySnapshot, clusters }, 0);
      return actions('flowClusters.clusters', row?.children?.[1]?.children?.[0]);
    };
    for (const status of ['running', 'paused', 'unknown', 'closing_gracefully'])
      assert.equal(offered({ status }), 'logs retire', status);
    assert.equal(offered({ status: 'closing' }), 'logs');
    assert.equal(offered({}, [{ worker: aWorker(0).address }]), 'cancelRetire logs');
  });

  it('of a run, in both views', () => {
    const states: RunState[] = [
      { kind: 'queued', stage: '' },
      { kind: 'running', startedMs: 0 },
      { kind: 'cancelling', forced: false },
      { kind: 'completed', startedMs: 0, endedMs: 1 },
      { kind: 'crashed', endedMs: 1, failure: { message: '' } },
    ];
    const rows = states.map(
      (state) => runNodes({ ...emptySnapshot, runs: new Map([['r1', { ...aRun, state }]]) }, 0)[0],
    );
    for (const view of ['flowClusters.runs', 'flowClusters.clusters']) {
      assert.deepEqual(
        rows.map((row) => actions(view, row)),
        [...Array<string>(3).fill('cancel logs show'), ...Array<string>(2).fill('logs remove show')],
      );
    }
  });

  it('of executors', () => {
    const read = readExecutors(
      [
        { name: 'a', kind: 'local' },
        { name: 'prod', kind: 'existing', address: 'tcp://10.0.0.5:8786' },
        { name: 'pods', kind: 'kubernetes', image: 'etl' },
        { name: 'slurm', kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' },
        { name: 'bad', kind: 'x' },
      ],
      '',
    );
    const rows = executorNodes({ ...emptySnapshot, executors: read }, 0);
    assert.deepEqual(
      rows.map((row) => [row.label, actions('flowClusters.executors', row)]),
      [
        ['a', 'advise configure copyCode start'],
        ['prod', 'advise attach configure copyCode setDefault'],
        ['pods', 'advise check configure deploy export setDefault start'],
        ['slurm', 'advise configure copyCode describeClass setDefault start'],
        ['local', 'advise configure copyCode setDefault start'],
        ['bad', 'configure'],
      ],
    );
  });
});
