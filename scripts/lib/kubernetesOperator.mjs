import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from './checkout.mjs';
import { kubectl } from './kubernetes.mjs';
import { kubernetesHome } from './kubernetesPrograms.mjs';
import { run, start } from './processes.mjs';
import { ensureVenv } from './venv.mjs';

const requirementsFile = join(root, 'test', 'support', 'requirements', 'dask-operator.txt');
/** Those that a release of the operator's Helm chart has; those beside them are sources, which a server refuses. */
const find = `import dask_kubernetes, pathlib
chart = "operator/deployment/helm/dask-kubernetes-operator/crds"
print(pathlib.Path(dask_kubernetes.__file__).parent / chart)`;
const START_LIMIT_MS = 60_000;

/** The interpreter that has `dask_kubernetes`, and all that it needs. */
export async function operatorPython() {
  return (await ensureVenv({ name: 'dask-operator', requirementsFile })).python;
}

/**
 * Teaches a cluster the resources of Dask's operator (`DaskCluster` and the like).
 * @param {import('./kubernetes.mjs').Kubernetes} cluster
 * @returns the Python that has the operator
 */
export async function ensureDefinitions(cluster) {
  const python = await operatorPython();
  const definitions = (await run(python, ['-c', find], { quiet: true })).trim();
  await kubectl(cluster, ['apply', '--server-side', '--force-conflicts', '-f', definitions]);
  await established(cluster);
  return python;
}

/** @param {import('./kubernetes.mjs').Kubernetes} cluster */
async function established(cluster) {
  for (const began = performance.now(); ; await delay(500)) {
    try {
      await kubectl(cluster, ['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
      return;
    } catch (error) {
      // It does not take those that have no status yet.
      const isEarly = error instanceof Error && error.message.includes('status.conditions accessor error');
      if (!isEarly || performance.now() - began > START_LIMIT_MS) throw error;
    }
  }
}

/**
 * Runs Dask's operator while `work` does: as a process of this machine, which acts through the API.
 * @template T
 * @param {import('./kubernetes.mjs').Kubernetes} cluster
 * @param {string} namespaces those that it looks after, a pattern: two operators of one namespace do all twice
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withOperator(cluster, namespaces, work) {
  const python = await ensureDefinitions(cluster);
  const log = join(kubernetesHome(), `operator-${process.pid}.log`);
  const file = await open(log, 'w');
  const args = ['-m', 'kopf', 'run', '-m', 'dask_kubernetes.operator.controller', '--verbose'];
  args.push('--namespace', namespaces);
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
  const operator = start(python, args, { env, output: file.fd });
  let ended = false;
  void operator.exited.then(() => {
    ended = true;
    void file.close();
  });
  try {
    for (
      const began = performance.now();
      !(await readFile(log, 'utf8')).includes('Initial authentication has finished');
      await delay(100)
    ) {
      if (ended || performance.now() - began > START_LIMIT_MS)
        throw new Error(`The operator did not start:\n${(await readFile(log, 'utf8')).slice(-2_000)}`);
    }
    return await work();
  } finally {
    await operator.stop();
  }
}
