import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  dumpYaml,
  type KubernetesObject,
  loadAllYaml,
  loadYaml,
  type V1Deployment,
  type V1NetworkPolicy,
  type V1Role,
  type V1Secret,
} from '@kubernetes/client-node';
import {
  daskClusterObjects,
  daskClusterYaml,
} from '../../../src/backends/kubernetes/deployment/exports/daskCluster.ts';
import { helmValuesYaml, imageParts } from '../../../src/backends/kubernetes/deployment/exports/helm.ts';
import {
  kubeClusterPython,
  kubeClusterRunner,
} from '../../../src/backends/kubernetes/deployment/exports/kubeCluster.ts';
import { kustomizeFiles } from '../../../src/backends/kubernetes/deployment/exports/kustomize.ts';
import {
  deploymentObjects,
  deploymentSecrets,
  withRevisions,
} from '../../../src/backends/kubernetes/deployment/objects.ts';
import { revisionOf } from '../../../src/backends/kubernetes/deployment/plan.ts';
import {
  type DeploymentOptions,
  type DeploymentShape,
  deploymentShape,
  nameFrom,
  nameProblem,
} from '../../../src/backends/kubernetes/deployment/shape.ts';
import { keyOf, nameOf, objectNames, plain } from '../../../src/backends/kubernetes/deployment/store.ts';
import { UserError } from '../../../src/core/errors.ts';
import { runImage } from '../../../src/core/imageExecutor.ts';
import type { KubernetesExecutor } from '../../../src/core/kubernetesExecutor.ts';
import { pastedExecutor } from '../../../src/flows/pasted.ts';
import { deployments } from '../../support/deployments.ts';
import { testParser } from '../flows/python.ts';

const preload = readFileSync(new URL('../../../src/python/adaptive_preload.py', import.meta.url), 'utf8');
const dump = (value: unknown) => dumpYaml(value, { noRefs: true });

function shape(
  executor: Partial<KubernetesExecutor> = {},
  options: Partial<DeploymentOptions> = {},
): DeploymentShape {
  return deploymentShape(
    'etl',
    { name: 'pods', kind: 'kubernetes', image: 'registry:5000/etl:3', namespace: 'flows', ...executor },
    { networkPolicy: false, dashboard: false, ...options },
    loadYaml,
  );
}

const keys = (objects: readonly KubernetesObject[]) => objects.map((object) => keyOf(nameOf(object)));

function deploymentOf(made: DeploymentShape, role: 'scheduler' | 'worker') {
  const found = deploymentObjects(made, preload).find(
    (one) => one.metadata?.name === `etl-${role}` && one.kind === 'Deployment',
  );
  const deployment = found as V1Deployment;
  const spec = deployment.spec?.template.spec;
  const container = spec?.containers[0];
  assert.ok(spec && container);
  return { deployment, spec, container, command: container.command ?? [] };
}

/** Its arguments as words of a line. */
const line = (command: readonly string[]) => command.join(' ');

describe('a static cluster on Kubernetes, as objects', () => {
  it('is two Deployments and a Service, of stock Dask with mutual TLS', () => {
    const made = shape({ n_workers: 3, threads_per_worker: 2, memory_limit: '2GiB', resources: { GPU: 1 } });
    assert.deepEqual(keys(deploymentObjects(made, preload)), [
      'Service/etl-scheduler',
      'Deployment/etl-scheduler',
      'Deployment/etl-worker',
    ]);
    const scheduler = deploymentOf(made, 'scheduler');
    const worker = deploymentOf(made, 'worker');
    assert.equal(scheduler.deployment.spec?.replicas, 1);
    assert.deepEqual(scheduler.deployment.spec?.strategy, { type: 'Recreate' });
    assert.equal(worker.deployment.spec?.replicas, 3);
    assert.match(
      line(scheduler.command),
      /^python3 -m distributed\.cli\.dask_scheduler --protocol tls --port 8786 --dashboard-address 127\.0\.0\.1:8787$/,
    );
    assert.match(
      line(worker.command),
      /^python3 -m distributed\.cli\.dask_worker tls:\/\/etl-scheduler:8786 --name \$\(POD_NAME\) --preload-nanny .* --nthreads 2 --memory-limit 2147483648 --resources GPU=1$/s,
    );
    for (const { spec, container } of [scheduler, worker]) {
      const env = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
      assert.equal(env.DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION, 'True');
      assert.equal(env.DASK_DISTRIBUTED__COMM__TLS__CA_FILE, '/etc/dask-tls/ca.crt');
      assert.equal(env.DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY, '/etc/dask-tls/tls.key');
      assert.deepEqual(spec.volumes?.[0], { name: 'tls', secret: { secretName: 'etl-tls' } });
      assert.equal(spec.automountServiceAccountToken, false);
      assert.equal(spec.securityContext?.runAsNonRoot, true);
    }
  });

  it('adapts by its scheduler, whose account may scale one Deployment and mark pods, and nothing else', () => {
    const made = shape({ adapt_kwargs: { minimum: 1, maximum: 5 } });
    const objects = deploymentObjects(made, preload);
    const role = objects.find(({ kind }) => kind === 'Role') as V1Role;
    assert.deepEqual(role.rules, [
      {
        apiGroups: ['apps'],
        resources: ['deployments/scale'],
        resourceNames: ['etl-worker'],
        verbs: ['get', 'patch'],
      },
      { apiGroups: [''], resources: ['pods'], verbs: ['patch'] },
    ]);
    const { spec, command, container } = deploymentOf(made, 'scheduler');
    assert.match(line(command), /--preload \/etc\/dask-adaptive\/adaptive_preload\.py$/);
    assert.equal(spec.serviceAccountName, 'etl-adaptive');
    assert.equal(spec.automountServiceAccountToken, true);
    const env = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
    assert.equal(env.DASK_DISTRIBUTED__ADAPTIVE__MAXIMUM, '5');
    const worker = deploymentOf(made, 'worker');
    assert.equal(worker.deployment.spec?.replicas, undefined, 'their number is the scheduler’s');
    assert.equal(worker.spec.automountServiceAccountToken, false);
  });

  it('has network policies and an open dashboard only where that is asked for', () => {
    const made = shape({}, { networkPolicy: true, dashboard: true });
    const policies = deploymentObjects(made, preload).filter(({ kind }) => kind === 'NetworkPolicy');
    const [members, scheduler] = policies as V1NetworkPolicy[];
    const own = { 'flow-clusters/deployment': 'etl' };
    assert.deepEqual(members?.spec, {
      podSelector: { matchLabels: own },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: own } }] }],
    });
    assert.deepEqual(
      scheduler?.spec?.ingress?.[0]?.ports?.map(({ port }) => port),
      [8786, 8787],
    );
    assert.match(line(deploymentOf(made, 'scheduler').command), /--dashboard-address :8787/);
  });

  it('keeps values of variables in a Secret, and shows none of it', () => {
    const made = shape({ env: { DB_PASSWORD: 'hunter2' } });
    const node = { ca: 'ca', cert: 'cert', key: 'private' };
    const secrets = deploymentSecrets(made, { members: node, client: node });
    assert.deepEqual(keys(secrets), ['Secret/etl-tls', 'Secret/etl-client-tls', 'Secret/etl-env']);
    assert.doesNotMatch(JSON.stringify(deploymentObjects(made, preload)), /hunter2/);
    assert.deepEqual(deploymentOf(made, 'worker').container.envFrom, [{ secretRef: { name: 'etl-env' } }]);
    const shown = plain(secrets[2] as V1Secret) as V1Secret;
    assert.match(shown.data?.DB_PASSWORD ?? '', /^\(secret [0-9a-f]{8}\)$/);
  });

  it('replaces pods where only what they read changes, and no others', () => {
    const node = { ca: 'ca', cert: 'cert', key: 'private' };
    const revisions = (executor: Partial<KubernetesExecutor>, { members = node, program = preload } = {}) => {
      const made = shape({ adapt_kwargs: { maximum: 3 }, ...executor });
      const secrets = deploymentSecrets(made, { members, client: node });
      const [scheduler, worker] = withRevisions(deploymentObjects(made, program), secrets).filter(
        ({ kind }) => kind === 'Deployment',
      );
      return { scheduler: revisionOf(scheduler), worker: revisionOf(worker) };
    };
    const first = revisions({ env: { A: '1' } });
    assert.deepEqual(revisions({ env: { A: '1' } }), first);
    const changed = (then: typeof first) => [
      ...(then.scheduler === first.scheduler ? [] : ['scheduler']),
      ...(then.worker === first.worker ? [] : ['worker']),
    ];
    assert.deepEqual(changed(revisions({ env: { A: '2' } })), ['worker']);
    assert.deepEqual(changed(revisions({ env: { A: '1' } }, { program: 'another' })), ['scheduler']);
    assert.deepEqual(changed(revisions({ env: { A: '1' }, adapt_kwargs: { maximum: 4 } })), ['scheduler']);
    const renewed = { members: { ...node, cert: 'another' } };
    assert.deepEqual(changed(revisions({ env: { A: '1' } }, renewed)), ['scheduler', 'worker']);
    // A template may give it what is meant for workers.
    const scheduler = { pod_template: 'spec: {containers: [{envFrom: [{secretRef: {name: etl-env}}]}]}' };
    const reads = [revisions({ env: { A: '1' }, scheduler }), revisions({ env: { A: '2' }, scheduler })];
    assert.notEqual(reads[0]?.scheduler, reads[1]?.scheduler);
  });

  it('has names that are all known to whoever deletes it', () => {
    const made = shape({ adapt_kwargs: {}, env: { A: '1' } }, { networkPolicy: true });
    const node = { ca: 'ca', cert: 'cert', key: 'private' };
    const all = [
      ...deploymentObjects(made, preload),
      ...deploymentSecrets(made, { members: node, client: node }),
    ];
    assert.deepEqual(keys(all).sort(), objectNames('etl').map(keyOf).sort());
  });

  it('is told what can’t be: names, the image of a run, options that “dask worker” does not have', () => {
    assert.equal(nameFrom('Pods of ETL (big)'), 'pods-of-etl-big');
    assert.equal(nameFrom('3'), 'dask');
    assert.equal(nameProblem('etl'), undefined);
    for (const bad of ['', '3etl', 'Etl', 'etl-', 'e'.repeat(54)]) assert.ok(nameProblem(bad), bad);
    const fails = (executor: Partial<KubernetesExecutor>, message: RegExp) =>
      assert.throws(
        () => shape(executor),
        (error) => error instanceof UserError && message.test(error.message),
      );
    fails({ image: runImage }, /is there before any run/);
    fails({ worker_options: { validate: true } }, /worker_options\.validate .* can't be told/);
    const command = deploymentOf(
      shape({ worker_options: { lifetime: '1h', lifetime_restart: true } }),
      'worker',
    ).command;
    assert.match(line(command), /--lifetime 1h --lifetime-restart$/);
  });
});

describe('a static cluster on Kubernetes, exported', () => {
  it('as a folder for kustomize: a file for each object, no key, and a script that makes the secrets', () => {
    const made = shape({ env: { DB_PASSWORD: 'hunter2' }, idle_timeout: 60 }, { networkPolicy: true });
    const files = kustomizeFiles(made, preload, dump);
    assert.deepEqual(
      [...files.keys()],
      [
        ...['kustomization.yaml', 'networkpolicy.yaml', 'networkpolicy-scheduler.yaml'],
        ...['service-scheduler.yaml', 'deployment-scheduler.yaml', 'deployment-worker.yaml', 'secrets.sh'],
      ],
    );
    const kustomization = files.get('kustomization.yaml') ?? '';
    assert.deepEqual(
      (loadYaml(kustomization) as { resources: string[] }).resources,
      [...files.keys()].slice(1, -1),
    );
    assert.match(kustomization, /# - idle_timeout: .*\n# - Values of env/);
    for (const text of files.values()) assert.doesNotMatch(text, /hunter2|PRIVATE KEY/);
    const adaptive = kustomizeFiles(shape({ adapt_kwargs: {}, service_account: 'reader' }), preload, dump);
    assert.match(
      adaptive.get('kustomization.yaml') ?? '',
      /service_account of the scheduler: it runs as etl-adaptive/,
    );
  });

  it('as a folder whose script checks variables first, keeps certificates that are there, and shows no value to ps', async () => {
    const bed = await mkdtemp(join(tmpdir(), 'flow-clusters-secrets-'));
    try {
      const made = shape({ env: { DB_PASSWORD: '' } });
      await writeFile(join(bed, 'secrets.sh'), kustomizeFiles(made, preload, dump).get('secrets.sh') ?? '');
      // Keeps what a secret is made from, and what it was called with.
      const fake = `#!/bin/sh
echo "$@" >>${bed}/asked
shift 2
case "$1" in
  create) cp -r . "${bed}/made-$4" ;;
  label) cat "$4" ;;
  get) for name in "$3" "$4"; do [ ! -d "${bed}/made-$name" ] || echo "a cluster:etl"; done ;;
esac
`;
      await writeFile(join(bed, 'kubectl'), fake, { mode: 0o755 });
      const make = (env: NodeJS.ProcessEnv) =>
        promisify(execFile)('sh', [join(bed, 'secrets.sh')], {
          env: { PATH: process.env.PATH, KUBECTL: join(bed, 'kubectl'), ...env },
        });
      const asked = () => readFile(join(bed, 'asked'), 'utf8');
      await assert.rejects(make({}), /DB_PASSWORD: set it to what workers shall have/);
      await assert.rejects(asked(), 'nothing was asked of Kubernetes');

      const value = 'hunter2 "\'$x\nand more\n';
      await make({ DB_PASSWORD: value });
      assert.equal(await readFile(join(bed, 'made-etl-env', 'variables', 'DB_PASSWORD'), 'utf8'), value);
      assert.doesNotMatch(await asked(), /hunter2/);
      const folder = join(bed, 'made-etl-client-tls');
      for (const [who, purpose] of [
        ['member', 'sslserver'],
        ['client', 'sslclient'],
      ] as const) {
        const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.crt', `${who}.crt`];
        assert.match((await promisify(execFile)('openssl', args, { cwd: folder })).stdout, /OK/);
      }

      const before = (await asked()).length;
      await make({ DB_PASSWORD: 'another' });
      const [again] = [(await asked()).slice(before)];
      assert.doesNotMatch(again, /create secret generic etl-(client-)?tls/);
      assert.match(again, /^--namespace flows create secret generic etl-env --from-file variables/m);
    } finally {
      await rm(bed, { recursive: true });
    }
  });

  it('with the namespace of the secret of variables, which is to be made first', () => {
    const made = shape({ env: { A: '1' } });
    const secret = 'kubectl create secret generic etl-env --namespace flows --from-env-file FILE';
    const texts = [daskClusterYaml(made, dump), helmValuesYaml(made, dump), kubeClusterPython(made)];
    for (const [index, next] of ['kubectl apply', 'helm upgrade', 'import KubeCluster'].entries()) {
      const text = texts[index] ?? '';
      assert.ok(text.includes(secret) && text.indexOf(secret) < text.indexOf(next), text);
    }
  });

  it('as resources of the operator, without TLS, which it says', () => {
    const text = daskClusterYaml(shape({ adapt_kwargs: { maximum: 4 }, env: { A: '1' } }), dump);
    assert.match(text, /# - TLS: /);
    const [cluster, autoscaler] = loadAllYaml(text) as Record<string, unknown>[];
    assert.equal(cluster?.kind, 'DaskCluster');
    assert.deepEqual(autoscaler?.spec, { cluster: 'etl', minimum: 0, maximum: 4 });
    assert.doesNotMatch(text, /tls:\/\//);
    assert.match(text, /- \$\(DASK_SCHEDULER_ADDRESS\)/);
  });

  it('as values of the Helm chart', () => {
    const made = shape({ n_workers: 3, limits: { cpu: 2 }, memory_limit: '1GiB', labels: { team: 'a' } });
    const text = helmValuesYaml(made, dump);
    assert.match(text, /helm upgrade --install etl dask --repo https:\/\/helm\.dask\.org --namespace flows/);
    assert.match(text, /# - labels/);
    const { worker, jupyter } = loadYaml(text) as { worker: Record<string, unknown>; jupyter: object };
    assert.deepEqual(jupyter, { enabled: false, rbac: false });
    assert.deepEqual(worker.image, { repository: 'registry:5000/etl', tag: '3' });
    assert.equal(worker.replicas, 3);
    assert.deepEqual(worker.extraArgs, [
      ...['--local-directory', '/tmp/dask', '--nthreads', '2', '--memory-limit', '1073741824'],
    ]);
    assert.deepEqual(imageParts('registry:5000/etl'), { repository: 'registry:5000/etl', tag: 'latest' });
    assert.deepEqual(imageParts('etl@sha256:ab'), { repository: 'etl@sha256', tag: 'ab' });
  });

  it('as values of the Helm chart with workers, though an executor that adapts may have none', () => {
    const workers = (executor: Partial<KubernetesExecutor>) => {
      const text = helmValuesYaml(shape(executor), dump);
      const { replicas } = (loadYaml(text) as { worker: { replicas: number } }).worker;
      assert.match(text, new RegExp(`^# - adapt_kwargs: .* here ${replicas}: worker\\.replicas\\.$`, 'm'));
      return replicas;
    };
    assert.equal(workers({ adapt_kwargs: { minimum: 0, maximum: 8 }, n_workers: 3 }), 3);
    assert.equal(workers({ adapt_kwargs: { minimum: 0, maximum: 8 } }), 8);
    assert.equal(workers({ adapt_kwargs: {} }), 2);
    assert.equal(workers({ adapt_kwargs: { minimum: 4, maximum: null } }), 4);
  });

  it('as values of the Helm chart that its values.yaml has', () => {
    const common = [
      'env',
      'image',
      'nodeSelector',
      'resources',
      'securityContext',
      'serviceAccountName',
      'tolerations',
    ];
    const quantities = { requests: { cpu: 1 }, limits: { cpu: 1 } };
    const text = helmValuesYaml(
      shape({
        ...{
          ...quantities,
          scheduler: quantities,
          env: { A: '1' },
          annotations: { a: 'b' },
          tolerations: [],
        },
        ...{ image_pull_policy: 'Always', image_pull_secrets: ['login'], service_account: 'flows' },
        ...{ node_selector: { disk: 'ssd' }, volumes: [{ name: 'data' }], volume_mounts: [{ name: 'data' }] },
      }),
      dump,
    );
    const values = loadYaml(text) as Record<string, Record<string, Record<string, unknown>>>;
    const keysOf = (of: object | undefined) => Object.keys(of ?? {}).sort();
    assert.deepEqual(keysOf(values), ['fullnameOverride', 'jupyter', 'scheduler', 'worker']);
    assert.deepEqual(keysOf(values.scheduler), common);
    assert.deepEqual(
      keysOf(values.worker),
      [...common, 'annotations', 'extraArgs', 'mounts', 'replicas'].sort(),
    );
    assert.deepEqual(keysOf(values.worker?.image), ['pullPolicy', 'pullSecrets', 'repository', 'tag']);
    assert.deepEqual(keysOf(values.worker?.mounts), ['volumeMounts', 'volumes']);
    assert.deepEqual(values.worker?.env?.[1 as never], {
      name: 'A',
      valueFrom: { secretKeyRef: { name: 'etl-env', key: 'A' } },
    });
  });

  it('as Python', () => {
    const text = kubeClusterPython(shape({ adapt_kwargs: { minimum: 1 }, annotations: { note: 'a "b"' } }));
    assert.match(text, /^from dask_kubernetes\.operator import KubeCluster$/m);
    assert.match(text, /"note": "a \\"b\\""}/);
    assert.match(text, /"runAsNonRoot": True,/);
    assert.match(text, /^cluster\.adapt\(minimum=1, maximum=1000\)$/m);
  });

  it('as what flows of Prefect run on, which a reader of code finds the class and its arguments in', async () => {
    const parser = await testParser();
    const [spec] = daskClusterObjects(shape({ n_workers: 3 }));
    for (const api of ['prefect1', 'prefect3'] as const) {
      const lines = pastedExecutor(parser, kubeClusterRunner(shape({ n_workers: 3 }), api));
      assert.ok('written' in lines, JSON.stringify(lines));
      assert.deepEqual(lines.written.cluster_class, { path: 'dask_kubernetes.operator.KubeCluster' });
      const { custom_cluster_spec, namespace } = lines.written.cluster_kwargs?.fields ?? {};
      assert.deepEqual(custom_cluster_spec, { value: JSON.parse(JSON.stringify(spec)) });
      assert.deepEqual(namespace, { value: 'flows' });
      assert.equal(lines.written.adapt_kwargs, undefined);
    }
    const adaptive = kubeClusterRunner(shape({ adapt_kwargs: { minimum: 1 } }), 'prefect3');
    assert.match(adaptive, /adapt_kwargs=\{"minimum": 1, "maximum": 1000\}/);
  });
});

describe('an executor on Kubernetes as one text', () => {
  const executor = { name: 'pods', kind: 'kubernetes', image: 'etl:3', namespace: 'flows' } as const;
  const kinds = async (of: KubernetesExecutor) =>
    loadAllYaml(await deployments().manifests(of, 'pods')).map((object) => object.kind);

  it('has all objects of its deployment, without secrets', async () => {
    const found = await kinds({ ...executor, adapt_kwargs: { maximum: 4 } });
    assert.ok(
      found.includes('Deployment') && found.includes('Service') && found.includes('Role'),
      found.join(),
    );
    assert.ok(!found.includes('Secret') && !found.includes('Kustomization'), found.join());
  });

  it('is the resource of the operator where the executor wants that', async () => {
    assert.deepEqual(await kinds({ ...executor, operator: true }), ['DaskCluster']);
  });
});
