import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Cluster } from '../../src/core/cluster.ts';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import { clusterNodes } from '../../src/core/tree.ts';
import { patienceMs, plain, sample, until, useClasses } from '../support/classBench.ts';
import { SshBed } from '../support/sshBed.ts';

const small = { n_workers: 2, threads_per_worker: 1, dashboard_address: '127.0.0.1:0' };

describe('a cluster of any class', function () {
  this.timeout(240_000);

  for (const [environment, of] of [
    ['prefect3', sample('prefect', 'etl.py', 'etl')],
    ['prefect2', sample('prefect', 'etl.py', 'etl')],
    ['prefect1', sample('prefect1', 'etl1.py', 'flow')],
    ['dask-latest', plain],
    ['dask-2023', plain],
  ] as const) {
    describe(`for a run with ${environment}`, () => {
      const used = useClasses(environment);

      it('is made from a class, and closed', async () => {
        const kwargs = { cluster_kwargs: small };
        const run = await used.run(used.executor('distributed.LocalCluster', kwargs), of);
        assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
        assert.match(used.output(run.id), /loaded \[0, 10, 20, 30\]|total 10/);
        await used.bench.until(() => used.bench.store.snapshot.clusters.size === 0, patienceMs);
        await used.nothingIsLeft();
      });

      it('is made by a function of the workspace, and follows the work', async () => {
        const limits = { cluster_kwargs: { n_workers: 1 }, adapt_kwargs: { minimum: 1, maximum: 2 } };
        const run = await used.run(used.executor('my_clusters.make_cluster', limits), of);
        assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
        assert.match(used.output(run.id), /making a cluster/);
      });
    });
  }

  describe('by the names of its arguments', () => {
    const used = useClasses('dask-latest');
    const refusal = (path: string, other?: Partial<ClusterClassExecutor>) =>
      used.refusal(used.executor(path, other));

    it('says which module, name or argument there is not, and what may be meant', async () => {
      const missing = await refusal('dask_jobqueue.SLURMCluster');
      assert.equal(missing.message, 'There is no module dask_jobqueue.');
      assert.match(missing.hint ?? '', /-m pip install "dask-jobqueue"/);
      assert.equal(missing.action?.kind, 'copy');
      const own = await refusal('my_cluster.make_cluster');
      assert.equal(own.message, 'There is no module my_cluster.');
      assert.match(own.hint ?? '', /looked for in the workspace folder/);
      const name = await refusal('distributed.localCluster');
      assert.equal(name.message, 'There is no localCluster in distributed.');
      assert.equal(name.hint, 'Did you mean "LocalCluster"?');
      const argument = await refusal('distributed.SSHCluster', { cluster_kwargs: { host: ['a', 'b'] } });
      assert.equal(argument.message, 'SSHCluster takes no "host".');
      assert.match(argument.hint ?? '', /Did you mean "hosts"/);
      const needed = await refusal('my_clusters.takes', { cluster_kwargs: { delta: 1 } });
      assert.equal(needed.message, 'takes needs "choice".');
      assert.equal(needed.reason, 'setting');
      await used.nothingIsLeft();
    });

    it('shows what the class raises, with the line of one’s own code', async () => {
      const failed = await refusal('my_clusters.fails');
      assert.equal(failed.message, 'ConnectionError: the batch system is on holiday');
      assert.match((failed.cause as Error).message, /line \d+, in fails/);
      assert.ok(failed.action?.kind === 'open-file' && failed.action.path.endsWith('my_clusters.py'));
      const passed = await refusal('distributed.LocalCluster', { cluster_kwargs: { ...small, n_worker: 2 } });
      assert.match(passed.message, /n_worker/);
      const broken = await refusal('syntax_error.make');
      assert.match(broken.message, /^syntax_error could not be imported: SyntaxError/);
      assert.ok(broken.action?.kind === 'open-file' && broken.action.line);
      assert.match((await refusal('my_clusters.no_cluster')).message, /gives int, which is no cluster/);
      const inside = await refusal('distributed.LocalCluster', { cluster_kwargs: { processes: false } });
      assert.match(inside.message, /can be reached in its own process only/);
      assert.match(inside.hint ?? '', /"protocol": "tcp"/);
      await used.nothingIsLeft();
    });

    it('takes values that JSON does not have', async () => {
      const delta = { $import: 'datetime.timedelta', kwargs: { minutes: 90 } };
      const cluster_kwargs = { delta, choice: { $import: 'distributed.core.Status.paused' } };
      const run = await used.run(used.executor('my_clusters.takes', { cluster_kwargs }), plain);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.match(used.output(run.id), /delta 1:30:00 choice Status.paused/);
      const wrong = { delta: { $import: 'datetime.timedelta', args: ['long'] }, choice: 1 };
      const refused = await refusal('my_clusters.takes', { cluster_kwargs: wrong });
      assert.match(refused.message, /^datetime.timedelta could not be called: TypeError/);
    });

    it('describes them, those that are passed on included', async () => {
      const { host } = used.bench;
      const ssh = await host.describeClass('distributed.SSHCluster');
      assert.deepEqual([ssh.kind, ssh.open, ssh.doc], ['function', false, 'Deploy a Dask cluster using SSH']);
      const hosts = ssh.parameters.find(({ name }) => name === 'hosts');
      assert.match(hosts?.doc ?? '', /^List of hostnames or addresses/);
      assert.deepEqual([hosts?.default, hosts?.value, hosts?.required], ['None', null, false]);
      const passed = ssh.parameters.find(({ name }) => name === 'shutdown_on_close');
      assert.equal(passed?.of, 'SpecCluster');
      assert.ok(!ssh.parameters.some(({ name }) => name === 'workers' || name === 'asynchronous'));
      const mine = await host.describeClass('my_clusters.make_cluster');
      const number = mine.parameters.find(({ name }) => name === 'n_workers');
      assert.deepEqual([number?.value, number?.annotation, number?.doc], [2, 'int', 'How many.']);
      assert.ok(mine.parameters.some(({ of, name }) => of === 'LocalCluster' && name === 'scheduler_port'));
      await assert.rejects(host.describeClass('my_clusters.make'), /There is no make in my_clusters/);
    });

    it('describes none that nobody waits for any more', async () => {
      const stop = new AbortController();
      const described = used.bench.host.describeClass('elsewhere/slow_import.py:make', stop.signal);
      const importing = () => used.family.members().some(({ command }) => command === 'sleep 600');
      await Promise.race([described, until(importing, 'an import')]);
      stop.abort(new Error('enough'));
      await assert.rejects(described, /enough/);
      await used.nothingIsLeft();
    });
  });

  describe('that is static', () => {
    const used = useClasses('dask-latest');
    const cluster = (id: string) => used.bench.cluster(id) as Cluster;
    const workers = (id: string) => cluster(id).info?.workers.length;

    it('scales and adapts by its own methods, and is closed by its own', async () => {
      const id = await used.startStatic(used.executor('my_clusters.make_plain', { n_workers: 1 }));
      await used.bench.until(() => workers(id) === 1, patienceMs);
      await used.bench.manager.scale(id, 2);
      await used.bench.until(() => workers(id) === 2, patienceMs);
      await used.bench.manager.adapt(id, { minimum: 1, maximum: 2 });
      const [row] = clusterNodes(used.bench.store.snapshot, Date.now());
      assert.match(row?.description ?? '', /adaptive 1–2/);
      await used.bench.until(() => workers(id) === 1, patienceMs);
      const run = await used.bench.over(await used.bench.start({ ...plain, clusterId: id }), patienceMs);
      assert.equal(run.state.kind, 'completed');
      await used.bench.manager.stop(id, { force: false });
      assert.equal(used.bench.cluster(id), undefined);
      await used.nothingIsLeft();
    });

    it('may be made by an async function', async () => {
      const id = await used.startStatic(used.executor('my_clusters.make_async'));
      await used.bench.until(() => workers(id) === 2, patienceMs);
      await used.bench.manager.scale(id, 1);
      await used.bench.until(() => workers(id) === 1, patienceMs);
      await used.bench.manager.stop(id, { force: true });
      await used.nothingIsLeft();
    });

    it('says when it ends by itself', async () => {
      const id = await used.startStatic(used.executor('my_clusters.make_plain'));
      await used.bench.start({ ...sample('dask', 'shutdownplain.py'), clusterId: id });
      await used.bench.until(() => cluster(id).state.kind === 'failed', patienceMs);
      const { state } = cluster(id);
      assert.match(
        state.kind === 'failed' ? state.failure.message : '',
        /scheduler of make_plain has closed/,
      );
      used.bench.manager.dismiss(id);
      await used.nothingIsLeft();
    });

    it('says what may be left where it can’t be closed', async () => {
      const id = await used.startStatic(used.executor('my_clusters.bad_close'));
      await used.bench.manager.stop(id, { force: false });
      const { state } = cluster(id);
      assert.ok(state.kind === 'failed');
      assert.match(
        state.failure.message,
        /could not be closed: RuntimeError: the batch system does not answer/,
      );
      assert.match(state.failure.hint ?? '', /may still be there/);
      used.bench.manager.dismiss(id);
      await used.nothingIsLeft();
    });
  });

  describe('that has something elsewhere', () => {
    const used = useClasses('dask-latest');
    const jobs = () => used.family.members().filter(({ command }) => command === 'sleep 600');
    const job = (cluster_kwargs: Record<string, unknown>, other: Partial<ClusterClassExecutor> = {}) =>
      used.executor('my_clusters.JobCluster', { cluster_kwargs, ...other });

    it('gives it back when its run is cancelled, however long that takes it', async () => {
      const id = await used.begin(job({ close_seconds: 2 }), sample('dask', 'slowplain.py'));
      await used.bench.until(() => used.bench.run(id).state.kind === 'running', patienceMs);
      assert.equal(jobs().length, 1);
      await used.bench.runs.cancel(id);
      assert.equal(used.bench.run(id).state.kind, 'cancelled');
      await used.nothingIsLeft();
    });

    for (const [what, executor] of [
      ['while it starts', () => job({ stage: 'starting' })],
      ['before it says of itself that it starts', () => used.executor('my_clusters.PodCluster')],
      ['in a function that never returns', () => used.executor('my_clusters.hangs')],
    ] as const) {
      it(`gives it back when its start is cancelled ${what}`, async () => {
        const id = await used.begin(executor(), plain);
        await until(
          () => /job queued|pod pending|hanging/.test(used.output(id)),
          'a start that is under way',
        );
        assert.equal(jobs().length, 1);
        await used.bench.runs.cancel(id);
        assert.equal(used.bench.run(id).state.kind, 'cancelled');
        await used.nothingIsLeft();
      });

      it(`gives it back when its time is over ${what}`, async () => {
        const run = await used.run({ ...executor(), start_timeout: 3 }, plain);
        assert.ok(run.state.kind === 'failed');
        assert.match(run.state.failure.message, /did not start within 3 s/);
        assert.match(run.state.failure.hint ?? '', /start_timeout/);
        await used.nothingIsLeft();
      });
    }

    it('gives it back when how many workers is not for it to say', async () => {
      const error = await used.refusal({
        ...used.executor('my_clusters.make_fixed'),
        adapt_kwargs: { minimum: 1, maximum: 2 },
      });
      assert.match(error.message, /can't be scaled/);
      assert.equal(error.hint, 'Leave adapt_kwargs out.');
      await used.nothingIsLeft();
    });
  });

  describe('that wants the run’s image', () => {
    const image = { PREFECT__CONTEXT__IMAGE: 'ghcr.io/acme/flows:1.4' };
    const prefect1 = useClasses('prefect1');

    it('finds it in prefect.context when it is called, as in Prefect 1', async () => {
      const executor = prefect1.executor('my_clusters.make_with_image');
      const run = await prefect1.run(executor, sample('prefect1', 'etl1.py', 'flow'), image);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.match(prefect1.output(run.id), /image ghcr\.io\/acme\/flows:1\.4/);
    });

    it('is made by a function of the flow’s own file, as Prefect documents it, and no flow runs by that', async () => {
      const file = 'elsewhere/documented-etl.py';
      const cluster_kwargs = { n_workers: 1 };
      const executor = prefect1.executor(`${file}:fargate_cluster`, { cluster_kwargs });
      const run = await prefect1.run(executor, sample('prefect1', file, 'flow'), image);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      const said = prefect1.output(run.id);
      assert.match(said, /image ghcr\.io\/acme\/flows:1\.4/);
      assert.equal(said.match(/added 2/g)?.length, 1, said);
      await prefect1.nothingIsLeft();
    });

    it('gets it in place of its placeholder, and says where there is none', async () => {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is written so in settings
      const cluster_kwargs = { image: '${runImage}' };
      const executor = prefect1.executor('my_clusters.make_with_given_image', { cluster_kwargs });
      const run = await prefect1.run(executor, plain, image);
      assert.match(prefect1.output(run.id), /image ghcr\.io\/acme\/flows:1\.4/);
      const without = await prefect1.run(executor, plain);
      assert.ok(without.state.kind === 'failed');
      assert.match(without.state.failure.message, /wants the run's own image, but this run is in no image/);
    });
  });

  describe('with TLS', () => {
    const used = useClasses('classes');

    it('hands on its certificates, and to no log', async () => {
      const cluster_kwargs = { ...small, security: true, protocol: 'tls' };
      const run = await used.run(used.executor('distributed.LocalCluster', { cluster_kwargs }), plain);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.doesNotMatch(used.bench.log.lines.join('\n'), /BEGIN/);
    });
  });

  describe('that logs in by ssh', () => {
    const used = useClasses('classes');
    let bed: SshBed;

    before(async function () {
      this.timeout(600_000);
      bed = await SshBed.start();
    });

    after(() => bed.dispose());

    const executor = (options: Record<string, unknown> = {}) =>
      used.executor('distributed.SSHCluster', {
        cluster_kwargs: {
          hosts: ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
          connect_options: { ...bed.connectOptions, ...options },
          scheduler_options: { port: 0, dashboard_address: '127.0.0.1:0' },
          // An sshd takes no signals for root, by which Dask ends workers there: these end with their scheduler, and one
          // that has not found it yet does not look for it for ever.
          worker_class: 'distributed.Worker',
          worker_options: { nthreads: 1, death_timeout: 10 },
        },
      });
    /** What it has started by ssh, below an sshd that is none of ours, ends when its scheduler does. */
    async function nothingIsThere(): Promise<void> {
      const there = async () =>
        (await promisify(execFile)('ps', ['-eo', 'args'])).stdout.includes('dask_spec');
      for (const end = Date.now() + patienceMs; await there(); await sleep(100)) assert.ok(Date.now() < end);
    }

    it('runs a script there, and leaves nothing there', async () => {
      const run = await used.run(executor(), plain);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.match(used.output(run.id), /Scheduler at: +tcp:[\s\S]*total 10/);
      await used.nothingIsLeft();
      await nothingIsThere();
    });

    it('leaves nothing there when its run is cancelled', async () => {
      const id = await used.begin(executor(), sample('dask', 'slowplain.py'));
      await until(() => used.bench.run(id).state.kind === 'running', 'a run');
      await used.bench.runs.cancel(id);
      await used.nothingIsLeft();
      await nothingIsThere();
    });

    it('has the workers that its hosts say, and no others', async () => {
      const id = await used.startStatic(executor());
      await until(() => used.bench.cluster(id)?.info?.workers.length === 2, 'workers');
      await assert.rejects(used.bench.manager.scale(id, 3), /SSHCluster can't be scaled/);
      await used.bench.manager.stop(id, { force: false });
      await nothingIsThere();
    });

    it('says why it can’t log in', async () => {
      const error = await used.refusal(executor({ client_keys: [bed.strangeKey] }));
      assert.match(error.message, /PermissionDenied: Permission denied/);
      assert.match((error.cause as Error).message, /Traceback/);
      await nothingIsThere();
    });
  });
});
