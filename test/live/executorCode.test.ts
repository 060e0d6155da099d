import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Executor } from '../../src/core/executor.ts';
import { type CodeApi, executorCode } from '../../src/core/executorCode.ts';
import { type EnvironmentName, pythonOf } from '../support/hostLive.ts';
import { startBed } from '../support/schedulerBed.ts';

const run = promisify(execFile);

/** What uses the code, in the words of each API; prints a sum that a worker has made, and how many workers there are. */
const uses: Readonly<Record<CodeApi, { readonly environment: EnvironmentName; use(code: string): string }>> =
  {
    prefect3: {
      environment: 'prefect3',
      use: (code) => `${code}
from prefect import flow, task
from distributed import get_client, get_worker

@task
def add(a, b):
    return a + b, len(get_client().scheduler_info(n_workers=-1)["workers"])

@flow(task_runner=task_runner)
def adding():
    return add.submit(1, 2).result()

if __name__ == "__main__":
    print(*adding())`,
    },
    prefect1: {
      environment: 'prefect1',
      use: (code) => `from prefect import Flow, task
flow = Flow("adding")
${code}

@task
def add(a, b):
    from distributed import get_client
    return a + b, len(get_client().scheduler_info()["workers"])

with flow:
    added = add(1, 2)
if __name__ == "__main__":
    print(*flow.run().result[added].result)`,
    },
    dask: {
      environment: 'dask-latest',
      use: (code) => `${code}
    print(client.submit(sum, [1, 2]).result(), len(client.scheduler_info(n_workers=-1)["workers"]))`,
    },
  };

describe('the code of an executor', function () {
  this.timeout(180_000);

  async function lastLine(api: CodeApi, executor: Executor): Promise<string | undefined> {
    const { environment, use } = uses[api];
    const code = executorCode(executor, api);
    assert.ok(code);
    const isBlock = code.includes('__main__');
    const script = api === 'dask' && !isBlock ? `${code}\nif True:` : code;
    const { stdout } = await run(await pythonOf(environment), ['-c', use(script)], { timeout: 120_000 });
    return stdout.trim().split('\n').at(-1);
  }

  for (const api of Object.keys(uses) as CodeApi[]) {
    it(`makes such a cluster: ${api}`, async () => {
      const executor: Executor = {
        ...{ name: 'mine', kind: 'local', n_workers: 2, threads_per_worker: 1 },
        ...{ processes: true, memory_limit: '512MiB', adapt_kwargs: { minimum: 2, maximum: 2 } },
      };
      assert.equal(await lastLine(api, executor), '3 2');
    });

    it(`makes one of a class, which scales without limits: ${api}`, async () => {
      const executor: Executor = {
        ...{ name: 'mine', kind: 'clusterClass', cluster_class: 'distributed:LocalCluster' },
        ...{ cluster_kwargs: { n_workers: 1, threads_per_worker: 1 }, adapt_kwargs: {} },
      };
      assert.equal(await lastLine(api, executor), '3 1');
    });

    it(`connects to one that is there, with its certificates: ${api}`, async () => {
      const python = await pythonOf(uses[api].environment);
      const bed = await startBed({ version: 'latest', python, workers: 1, protocol: 'tls' });
      try {
        const { address, certificates } = bed;
        const executor = { name: 'prod', kind: 'existing', security: certificates?.files } as const;
        // As it may be in the settings: that it speaks TLS is found out when it is reached.
        assert.equal(await lastLine(api, { ...executor, address: address.replace('tls://', '') }), '3 1');
      } finally {
        await bed.stop();
      }
    });
  }
});
