import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CoreV1Api,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  loadAllYaml,
  RbacAuthorizationV1Api,
  VersionApi,
} from '@kubernetes/client-node';
import { ensureDefinitions, withOperator } from '../../scripts/lib/kubernetesOperator.mjs';
import { checkKubernetes } from '../../src/backends/kubernetes/check.ts';
import { deploymentRights, isNeeded, type Right, rightsOf } from '../../src/backends/kubernetes/rights.ts';
import { UserError } from '../../src/core/errors.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import type { Finding, Severity } from '../../src/core/preflight/finding.ts';
import { deploy, deployedObjects, deployments } from '../support/deployments.ts';
import {
  kubernetesBackend,
  kubernetesExecutor,
  leftovers,
  optionsOf,
  testCluster,
  testKubernetes,
  testNamespace,
  until,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';

const user = 'flows';
const words = ({ verb, resource }: Right) => `${verb} ${resource}`;

describe('the check of Kubernetes', function () {
  this.timeout(60_000);
  let admin: KubeConfig;
  let core: CoreV1Api;
  let folder: string;
  let count = 0;
  const removals: (() => Promise<void>)[] = [];

  before(async () => {
    admin = testCluster();
    core = admin.makeApiClient(CoreV1Api);
    folder = await mkdtemp(join(tmpdir(), 'kubernetes-check-'));
  });
  after(async () => {
    await Promise.all(removals.map((remove) => remove()));
    await rm(folder, { recursive: true, force: true });
  });

  async function makeNamespace(): Promise<string> {
    count += 1;
    const { namespace, remove } = await testNamespace(`check-${count}`);
    removals.push(remove);
    return namespace;
  }

  const executorOf = (options: Partial<KubernetesExecutor>) =>
    kubernetesExecutor('dask-latest', options.namespace ?? 'default', { n_workers: 1, ...options });

  async function check(options: Partial<KubernetesExecutor>): Promise<Finding[]> {
    return checkKubernetes(await executorOf(options), new AbortController().signal);
  }

  const texts = (findings: readonly Finding[], ...wanted: readonly Severity[]) =>
    findings.filter(({ severity }) => wanted.includes(severity)).map(({ message }) => message);

  /** The path of a kubeconfig, the tests' own but for what is changed. */
  async function kubeconfig(
    name: string,
    change: { readonly token?: string; readonly server?: string; readonly withoutCa?: boolean },
  ): Promise<string> {
    const known = admin.getCurrentCluster();
    assert.ok(known);
    const { caData, caFile, ...rest } = known;
    const cluster = change.withoutCa ? rest : known;
    const own = admin.getCurrentUser();
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ ...cluster, name: 'c', server: change.server ?? cluster.server }],
      users: [change.token === undefined ? { ...own, name: user } : { name: user, token: change.token }],
      contexts: [{ name: 'limited', cluster: 'c', user }],
      currentContext: 'limited',
    });
    const path = join(folder, name);
    await writeFile(path, config.exportConfig(), { mode: 0o600 });
    return path;
  }

  /** An account that may do so much in a namespace; resolves with its kubeconfig. */
  async function account(namespace: string, allowed: readonly Right[]): Promise<string> {
    await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name: user } } });
    const rbac = admin.makeApiClient(RbacAuthorizationV1Api);
    const rules = allowed.map(({ group, resource, verb }) => ({
      ...{ apiGroups: [group], resources: [resource], verbs: [verb] },
    }));
    const metadata = { name: user };
    await rbac.createNamespacedRole({ namespace, body: { metadata, rules } });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: user };
    const subjects = [{ kind: 'ServiceAccount', name: user, namespace }];
    await rbac.createNamespacedRoleBinding({ namespace, body: { metadata, roleRef, subjects } });
    const spec = { audiences: [], expirationSeconds: 3600 };
    const { status } = await core.createNamespacedServiceAccountToken({
      name: user,
      namespace,
      body: { spec },
    });
    return kubeconfig(namespace, { token: status?.token ?? '' });
  }

  /** Made, and with what its controller tells is used. */
  async function makeQuota(namespace: string, name: string, hard: Record<string, string>): Promise<void> {
    await core.createNamespacedResourceQuota({ namespace, body: { metadata: { name }, spec: { hard } } });
    await until(async () => {
      const { status } = await core.readNamespacedResourceQuota({ namespace, name });
      return status?.used !== undefined;
    });
  }

  const start = async (options: Partial<KubernetesExecutor>) =>
    kubernetesBackend().start(await executorOf(options), {
      ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
      ...{ stage: () => undefined, worker: () => undefined, scaling: () => undefined },
    });

  it('finds nothing wrong where there is nothing, and makes nothing', async () => {
    const namespace = await makeNamespace();
    const findings = await check({ namespace });
    assert.deepEqual(texts(findings, 'error', 'warning'), []);
    const good = texts(findings, 'good').join('\n');
    assert.match(good, /^The API server of .* answers, it is v1\.\d+.* and knows you as /m);
    assert.ok(good.includes(`You may do in ${namespace} all that clusters take`), good);
    assert.ok(good.includes(`Kubernetes takes such pods in ${namespace} (Pod Security: restricted)`), good);
    assert.deepEqual(await leftovers(namespace), []);
  });

  it('names the rights that are missing; its manifest, applied, gives exactly these', async () => {
    const namespace = await makeNamespace();
    const lacking = ['secrets', 'pods/portforward'];
    const missing = rightsOf('plain').filter(({ resource }) => lacking.includes(resource));
    const path = await account(
      namespace,
      rightsOf('plain').filter((right) => !missing.includes(right)),
    );
    const options = { namespace, kubeconfig: path };
    const before = await check(options);
    assert.deepEqual(texts(before, 'error'), [
      `You may not create secrets and get pods/portforward in the namespace ${namespace}`,
    ]);
    assert.deepEqual(
      texts(before, 'info').filter((text) => text.startsWith('You may not')),
      [
        'You may not create pods/portforward: no way to clusters from Kubernetes 1.35 on',
        `You may not deploy static clusters in ${namespace}: that takes more rights on deployments, services, secrets, networkpolicies, configmaps, serviceaccounts, roles, rolebindings, deployments/scale and pods`,
      ],
    );
    await assert.rejects(start(options), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^You may not create secrets in the namespace /);
      assert.deepEqual(error.action, { kind: 'check-kubernetes', executor: 'pods' });
      return true;
    });
    const action = before[0]?.actions?.find(({ kind }) => kind === 'open-text');
    assert.ok(action?.kind === 'open-text');
    const [role, binding] = JSON.parse(JSON.stringify(loadAllYaml(action.text)));
    const granted = role.rules.flatMap(({ resources, verbs }: { resources: string[]; verbs: string[] }) =>
      verbs.map((verb) => `${verb} ${resources}`),
    );
    assert.deepEqual(granted.sort(), missing.map(words).sort());
    const objects = KubernetesObjectApi.makeApiClient(admin);
    for (const part of [role, binding]) await objects.create(part);
    const after = await check(options);
    assert.deepEqual(texts(after, 'error', 'warning'), []);
    assert.ok(texts(after, 'good').includes(`You may do in ${namespace} all that clusters take`));
  });

  for (const way of ['plain', 'operator'] as const) {
    it(`calls needed what a cluster takes, and no more: one starts with that alone (${way})`, async () => {
      const namespace = await makeNamespace();
      const { minor } = await admin.makeApiClient(VersionApi).getCode();
      const needed = rightsOf(way).filter((right) => isNeeded(right, Number.parseInt(minor, 10)));
      const options = { namespace, kubeconfig: await account(namespace, needed), ...optionsOf(way) };
      const live = async () => {
        assert.deepEqual(texts(await check(options), 'error', 'warning'), []);
        const handle = await start(options);
        try {
          assert.equal(handle.workers, 1);
        } finally {
          await handle.close({ force: true });
        }
      };
      await (way === 'plain' ? live() : withOperator(testKubernetes(), namespace, live));
      await untilNothingIsLeft(namespace);
    });
  }

  it('reckons with all that the operator makes, and has its resources tried too', async () => {
    await ensureDefinitions(testKubernetes());
    const namespace = await makeNamespace();
    await makeQuota(namespace, 'small', { pods: '5', 'count/deployments.apps': '3' });
    const options = { namespace, operator: true };
    const findings = await check({ ...options, n_workers: 3 });
    // Two of the pods are the scheduler's and the keeper's.
    assert.deepEqual(texts(findings, 'error'), [
      'The quota "small" has room for 2 of 3 workers (count/deployments.apps: 3 left)',
    ]);
    assert.ok(
      texts(findings, 'info').some((text) => /^Whether the Dask operator runs is not known/.test(text)),
    );
    const [unknown] = texts(await check({ ...options, pod_template: 'spec: {notAField: true}' }), 'error');
    assert.match(unknown ?? '', /unknown field .*notAField.* \(DaskCluster\)$/);
  });

  it('calls needed for deploying what that takes, and gives it by a manifest of its own', async function () {
    this.timeout(180_000);
    const namespace = await makeNamespace();
    const options = {
      namespace,
      kubeconfig: await account(namespace, rightsOf('plain')),
      adapt_kwargs: { minimum: 1 },
    };
    const executor = await executorOf(options);
    await assert.rejects(deploy(executor, 'etl'), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^You may not \w+ \w+ in the namespace /);
      assert.deepEqual(error.action, { kind: 'check-kubernetes', executor: 'pods' });
      return true;
    });
    const told = (await check(options)).find(({ message }) => message.startsWith('You may not deploy'));
    const action = told?.actions?.find(({ kind }) => kind === 'open-text');
    assert.ok(action?.kind === 'open-text');
    const objects = KubernetesObjectApi.makeApiClient(admin);
    for (const part of loadAllYaml(action.text)) await objects.create(part as KubernetesObject);
    assert.deepEqual(
      (await check(options)).filter(({ message }) => message.startsWith('You may not')),
      [],
    );
    await deploy(executor, 'etl');
    const found = await deployments().found(executor, 'etl', new AbortController().signal);
    await found.remove();
    await until(async () => (await deployedObjects(namespace)).length === 0);
  });

  it('says what is left of a deployment that may not be taken back', async function () {
    this.timeout(180_000);
    const namespace = await makeNamespace();
    const all = [...rightsOf('plain'), ...deploymentRights];
    const given = all.filter(({ verb }) => verb !== 'delete');
    const bad = { image: 'localhost:1/no-such-image:1', image_pull_policy: 'Never' } as const;
    const executor = await executorOf({ namespace, kubeconfig: await account(namespace, given), ...bad });
    await assert.rejects(deploy(executor, 'etl'), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(
        error.message,
        /is not on its node.*\. This is left of it: Secret etl-tls, Secret etl-client-tls, Service etl-scheduler, Deployment etl-scheduler, Deployment etl-worker \(.* cannot delete resource /,
      );
      assert.ok(error.action?.kind === 'undeploy');
      assert.equal(error.action.pods.kubeconfig, executor.kubeconfig);
      return true;
    });
    const mine = await executorOf({ namespace });
    await (await deployments().found(mine, 'etl', new AbortController().signal)).remove();
    await until(async () => (await deployedObjects(namespace)).length === 0);
  });

  it('says that the namespace is missing', async () => {
    const [first] = await check({ namespace: 'not-there' });
    assert.match(first?.message ?? '', /^There is no namespace "not-there" in /);
    const copy = first?.actions?.find(({ kind }) => kind === 'copy');
    assert.equal(copy?.kind === 'copy' && copy.text, 'kubectl create namespace not-there');
  });

  it('says that the login is not accepted', async () => {
    const findings = await check({ kubeconfig: await kubeconfig('bad-token', { token: 'nonsense' }) });
    assert.deepEqual(texts(findings, 'error', 'good'), [
      'The API server of limited does not accept your login',
    ]);
    const nobody = await check({ kubeconfig: await kubeconfig('no-token', { token: '' }) });
    assert.deepEqual(texts(nobody, 'error', 'good'), [
      'The kubeconfig has no login to limited: nobody is logged in',
    ]);
  });

  it('says that the certificate is not accepted', async () => {
    const [text = ''] = texts(
      await check({ kubeconfig: await kubeconfig('no-ca', { withoutCa: true }) }),
      'error',
    );
    assert.match(
      text,
      /^The certificate of the API server of limited at https.* is not accepted: .*certificate/,
    );
  });

  it('says within a limit that nobody answers', async () => {
    const server: Server = await new Promise((resolve) => {
      const made = createServer().listen(0, '127.0.0.1', () => resolve(made));
    });
    const address = server.address();
    assert.ok(address && typeof address === 'object');
    const url = `https://127.0.0.1:${address.port}`;
    const path = await kubeconfig('silent', { server: url });
    const began = performance.now();
    const silent = await check({ kubeconfig: path });
    assert.ok(performance.now() - began < 12_000);
    assert.deepEqual(texts(silent, 'error'), [
      `The API server of limited at ${url} does not answer: no answer`,
    ]);
    const stop = new AbortController();
    const stopped = assert.rejects(checkKubernetes(await executorOf({ kubeconfig: path }), stop.signal), {
      name: 'AbortError',
    });
    setTimeout(() => stop.abort(), 100);
    await stopped;
    server.close();
    const dead = await check({ kubeconfig: path });
    assert.deepEqual(texts(dead, 'error'), [
      `The API server of limited at ${url} does not answer: nothing listens there`,
    ]);
  });

  it('reckons how many workers quotas have room for', async () => {
    const namespace = await makeNamespace();
    await makeQuota(namespace, 'small', { pods: '4', 'limits.memory': '3Gi' });
    const options = {
      ...{ namespace, memory_limit: '512MiB', limits: { cpu: '500m' } },
      scheduler: { limits: { memory: '1Gi' } },
    };
    const few = await check({ ...options, n_workers: 2, adapt_kwargs: { maximum: 3 } });
    assert.deepEqual(texts(few, 'error', 'warning'), []);
    assert.ok(texts(few, 'good').includes('The quota "small" has room for 3 such workers (pods: 4 left)'));
    const [more] = texts(await check({ ...options, adapt_kwargs: { maximum: 8 } }), 'warning');
    assert.match(more ?? '', /has room for 3 such workers .*; adaptive scaling may ask for 8$/);
    const large = { ...options, memory_limit: '1GiB', n_workers: 3 };
    assert.deepEqual(texts(await check(large), 'error'), [
      'The quota "small" has room for 2 of 3 workers (limits.memory: 3 GiB left)',
    ]);
    // Without limits nothing is admitted, and that is said as well.
    assert.match(
      texts(await check({ ...options, scheduler: undefined }), 'error')[0] ?? '',
      /^The quota of the namespace .* must specify limits.memory/,
    );
    await core.createNamespacedLimitRange({
      namespace,
      body: {
        metadata: { name: 'usual' },
        spec: { limits: [{ type: 'Container', _default: { memory: '1Gi' }, max: { memory: '2Gi' } }] },
      },
    });
    const usual = { namespace, n_workers: 1 };
    const room = 'The quota "small" has room for 2 such workers (limits.memory: 3 GiB left)';
    assert.deepEqual(texts(await check(usual), 'error'), []);
    assert.ok(texts(await check(usual), 'good').includes(room));
    const [over] = texts(await check({ ...options, memory_limit: '2.5GiB' }), 'error');
    assert.match(over ?? '', /^The limits of the namespace .*: maximum memory usage per Container is 2Gi/);
    await makeQuota(namespace, 'none', { pods: '0' });
    assert.deepEqual(texts(await check(usual), 'error'), [
      'The quota "none" has room for no worker (pods: 0 left)',
    ]);
  });

  it('asks what a namespace allows, and says what it refuses', async () => {
    const namespace = await makeNamespace();
    const [refused, ...others] = texts(
      await check({ namespace, pod_template: 'spec: {hostNetwork: true}' }),
      'error',
    );
    assert.match(
      refused ?? '',
      /^The namespace .* does not allow such pods: violates PodSecurity "restricted/,
    );
    assert.deepEqual(others, []);
    const [broken] = texts(
      await check({ namespace, pod_template: { spec: { containers: [{ name: 'worker', image: null }] } } }),
      'error',
    );
    assert.match(
      broken ?? '',
      /^Kubernetes does not take what it is told: .*image: Required value.*\(worker\)$/,
    );
  });

  it('looks for what pods name', async () => {
    const namespace = await makeNamespace();
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'settings' } } });
    const findings = await check({
      ...{ namespace, service_account: 'runner', image_pull_secrets: ['login'] },
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
        { name: 'settings', configMap: { name: 'settings' } },
      ],
    });
    assert.deepEqual(texts(findings, 'error'), [
      `There is no service account "runner" in ${namespace}, for service_account`,
      `There is no persistent volume claim "data" in ${namespace}, for the volume data`,
    ]);
    assert.deepEqual(texts(findings, 'warning'), [
      `There is no secret "login" in ${namespace}, for image_pull_secrets`,
    ]);
    assert.ok(texts(findings, 'good').includes('What pods name is there: config map "settings"'));
  });
});
