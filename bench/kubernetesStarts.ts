// Clusters in pods, one after the other, each until both workers are connected and then until nothing is left:
//   node scripts/kubernetes-bed.mjs npx tsx bench/kubernetesStarts.ts [starts] [operator]
// Counts starts that fail and workers that die, with the reasons. Writes bench/results/kubernetesStarts.json, or
// kubernetesStartsByOperator.json.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withOperator } from '../scripts/lib/kubernetesOperator.mjs';
import {
  kubernetesBackend,
  kubernetesExecutor,
  leftovers,
  optionsOf,
  testKubernetes,
  testNamespace,
} from '../test/support/kubernetes.ts';
import { allConnected, startQuietly, summary } from './starts.ts';

const workers = 2;
const starts = Number(process.argv[2] ?? 100);
const folder = fileURLToPath(new URL('.', import.meta.url));

const way = process.argv[3] === 'operator' ? 'operator' : 'plain';

async function main(): Promise<void> {
  const { namespace, remove } = await testNamespace('starts');
  const executor = await kubernetesExecutor('dask-latest', namespace, optionsOf(way));
  const seconds: number[] = [];
  const failures: string[] = [];
  const deaths: string[] = [];
  let left = 0;
  const startAll = async () => {
    for (let at = 0; at < starts; at += 1) {
      const began = performance.now();
      try {
        const handle = await startQuietly(kubernetesBackend(), executor, ({ message }) => {
          deaths.push(`${at}: ${message}`);
          console.log(deaths.at(-1));
        });
        await allConnected(workers, handle.address, handle.security);
        seconds.push((performance.now() - began) / 1000);
        await handle.close({ force: true });
      } catch (error) {
        failures.push(`${at}: ${error instanceof Error ? error.message : error}`);
        console.log(failures.at(-1));
      }
      left += (await leftovers(namespace)).filter((one) => one.startsWith('pod ')).length;
    }
  };
  try {
    await (way === 'operator' ? withOperator(testKubernetes(), namespace, startAll) : startAll());
  } finally {
    await remove();
  }
  const machine = { cores: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(2)) };
  const result = { machine, starts, failures, deaths, podsLeft: left, connected: summary(seconds) };
  await mkdir(join(folder, 'results'), { recursive: true });
  const name = way === 'operator' ? 'kubernetesStartsByOperator.json' : 'kubernetesStarts.json';
  await writeFile(join(folder, 'results', name), `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result, null, 1));
}

void main();
