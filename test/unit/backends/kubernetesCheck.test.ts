import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { V1PodSpec, V1ResourceQuota } from '@kubernetes/client-node';
import { checkKubernetes } from '../../../src/backends/kubernetes/check.ts';
import { apiError } from '../../../src/backends/kubernetes/failures.ts';
import { imageName, judgeImage } from '../../../src/backends/kubernetes/imageName.ts';
import { persistent } from '../../../src/backends/kubernetes/kubernetesApi.ts';
import { amountOf } from '../../../src/backends/kubernetes/quantity.ts';
import {
  amountText,
  clusterAmounts,
  counts,
  leftOf,
  podAmounts,
  roomFor,
} from '../../../src/backends/kubernetes/quota.ts';
import { referencesOf } from '../../../src/backends/kubernetes/references.ts';

const GiB = 1024 ** 3;

describe('quantities of Kubernetes', () => {
  it('are numbers of bytes, cores or pieces', () => {
    const read: Readonly<Record<string, number>> = {
      ...{ '500m': 0.5, '2': 2, '1.5': 1.5, '2Gi': 2 * GiB, '1Ki': 1024, '1k': 1000, '3M': 3e6, '1e3': 1000 },
      ...{ '100n': 1e-7, '1u': 1e-6, '1Ti': 1024 ** 4 },
    };
    for (const [text, amount] of Object.entries(read)) {
      assert.ok(Math.abs((amountOf(text) ?? Number.NaN) - amount) < 1e-12 * Math.max(1, amount), text);
    }
    assert.equal(amountOf(3), 3);
    for (const none of [undefined, 'much', '2Xi', '']) assert.equal(amountOf(none), undefined);
  });
});

describe('quotas of a namespace', () => {
  const worker: V1PodSpec = {
    containers: [
      {
        name: 'worker',
        resources: { requests: { cpu: '500m' }, limits: { memory: '2Gi', cpu: '1', 'nvidia.com/gpu': '1' } },
      },
      { name: 'side', resources: { requests: { memory: '100Mi' } } },
    ],
    initContainers: [
      { name: 'prepare', resources: { requests: { cpu: '2' } } },
      { name: 'proxy', restartPolicy: 'Always', resources: { requests: { memory: '28Mi' } } },
    ],
  };
  const memory = 2 * GiB + 128 * 1024 ** 2;

  it('count what a pod asks for: all that runs at once, and limits where nothing is asked', () => {
    assert.deepEqual(podAmounts(worker), {
      ...{ pods: 1, 'count/pods': 1 },
      ...{ cpu: 2, 'requests.cpu': 2, memory, 'requests.memory': memory, 'requests.nvidia.com/gpu': 1 },
      ...{ 'limits.cpu': 1, 'limits.memory': 2 * GiB, 'limits.nvidia.com/gpu': 1 },
    });
    assert.deepEqual(podAmounts({ containers: [{ name: 'worker' }] }), { pods: 1, 'count/pods': 1 });
  });

  it('leave room for so many workers beside their scheduler, by what there is least of', () => {
    const quota: V1ResourceQuota = {
      status: {
        hard: { 'limits.memory': '10Gi', pods: '10', 'requests.cpu': '9', 'count/jobs.batch': '1' },
        used: { 'limits.memory': '3Gi', pods: '1' },
      },
    };
    const left = leftOf(quota);
    assert.deepEqual(left, { 'limits.memory': 7 * GiB, pods: 9, 'requests.cpu': 9, 'count/jobs.batch': 1 });
    const scheduler = podAmounts({ containers: [{ name: 's', resources: { limits: { memory: '1Gi' } } }] });
    const rest = [clusterAmounts, scheduler];
    assert.deepEqual(roomFor(left, rest, podAmounts(worker)), { workers: 3, by: 'limits.memory' });
    assert.deepEqual(roomFor(left, rest, { pods: 1 }), { workers: 8, by: 'pods' });
    // Its Job has no place.
    const full = { ...left, 'count/jobs.batch': 0 };
    assert.deepEqual(roomFor(full, rest, podAmounts(worker)), { workers: 0, by: 'count/jobs.batch' });
    assert.deepEqual(roomFor({ pods: -2 }, rest, { pods: 1 }), { workers: 0, by: 'pods' });
    assert.equal(roomFor({ 'requests.storage': 5 }, rest, podAmounts(worker)), undefined);
    assert.deepEqual(roomFor({ cpu: 0.3 }, [], { cpu: 0.1 }), { workers: 3, by: 'cpu' });
  });

  it('may be for other pods only', () => {
    const modest = podAmounts({ containers: [{ name: 'worker' }] });
    const of = (...scopes: string[]) => counts({ spec: { scopes } }, podAmounts(worker));
    assert.equal(of(), true);
    assert.equal(of('NotTerminating', 'NotBestEffort'), true);
    assert.equal(of('Terminating'), false);
    assert.equal(of('BestEffort'), false);
    assert.equal(counts({ spec: { scopes: ['BestEffort'] } }, modest), true);
    assert.equal(counts({ spec: { scopes: ['NotBestEffort'] } }, modest), false);
    assert.equal(of('CrossNamespacePodAffinity'), undefined);
    const matchExpressions = [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }];
    assert.equal(counts({ spec: { scopeSelector: { matchExpressions } } }, modest), undefined);
  });

  it('read as people write them', () => {
    assert.equal(amountText('limits.memory', 3 * GiB), '3 GiB');
    assert.equal(amountText('requests.cpu', 1.5), '1.5');
    assert.equal(amountText('pods', -1), '0');
  });
});

describe('the name of an image', () => {
  it('has parts', () => {
    assert.deepEqual(imageName('etl'), {});
    assert.deepEqual(imageName('team/etl:1.2'), { tag: '1.2' });
    assert.deepEqual(imageName('ghcr.io/team/etl:v1'), { registry: 'ghcr.io', tag: 'v1' });
    assert.deepEqual(imageName('localhost:5000/etl'), { registry: 'localhost:5000' });
    assert.deepEqual(imageName('registry:5000/a/b:2'), { registry: 'registry:5000', tag: '2' });
    const digest = `sha256:${'0'.repeat(64)}`;
    assert.deepEqual(imageName(`etl:1@${digest}`), { tag: '1', digest });
    for (const none of ['', 'My-Image', 'etl:', 'a//b', 'https://x.io/a', 'etl:1 2', '-a', 'x.io/A:1'])
      assert.equal(imageName(none), undefined, none);
  });

  const say = (image: string, context = 'prod', image_pull_policy?: 'IfNotPresent' | 'Never') =>
    judgeImage({ image, image_pull_policy }, context).map(({ severity, message, hint }) =>
      [severity, message, hint].filter(Boolean).join(' | '),
    );

  it('says what may go wrong', () => {
    assert.deepEqual(say('ghcr.io/team/etl:v1'), []);
    assert.match(say('Etl')[0] ?? '', /^error \| “Etl” is no name of an image \| /);
    assert.match(say('etl:1')[0] ?? '', /^info \| The image etl:1 names no registry: .* Docker Hub$/);
    assert.match(
      say('ghcr.io/etl:latest', 'prod', 'IfNotPresent')[0] ?? '',
      /^info \| Nodes that have a “latest”/,
    );
    assert.deepEqual(say('ghcr.io/etl:latest'), []);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as the setting has it
    assert.match(say('${runImage}')[0] ?? '', /^info \| The image is that of the run/);
  });

  it('of this machine alone is to be loaded into the nodes of its clusters', () => {
    const [text = ''] = say('flow-clusters/etl:1', 'kind-dev');
    assert.match(text, /only on this machine.* \| kind load docker-image flow-clusters\/etl:1 --name dev$/);
    assert.match(say('etl:1', 'minikube')[0] ?? '', /minikube image load etl:1$/);
    assert.match(say('etl:1', 'k3d-a')[0] ?? '', /k3d image import etl:1 -c a$/);
    assert.match(say('etl', 'kind-dev')[0] ?? '', /, and image_pull_policy "IfNotPresent"/);
    assert.doesNotMatch(say('etl', 'kind-dev', 'Never')[0] ?? '', /image_pull_policy/);
    assert.deepEqual(say('ghcr.io/etl:1', 'kind-dev'), []);
  });
});

describe('what pods name', () => {
  it('is found wherever a pod may name it, once', () => {
    const spec: V1PodSpec = {
      serviceAccountName: 'runner',
      imagePullSecrets: [{ name: 'login' }],
      containers: [
        {
          name: 'worker',
          env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'login', key: 'a' } } }],
          envFrom: [{ configMapRef: { name: 'settings', optional: true } }],
        },
      ],
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
        { name: 'scratch', emptyDir: {} },
        {
          name: 'both',
          projected: { sources: [{ configMap: { name: 'ca' } }, { secret: { name: 'key' } }] },
        },
      ],
    };
    const found = referencesOf([spec, spec]).map(
      ({ kind, name, optional }) => `${kind} ${name}${optional ? '?' : ''}`,
    );
    assert.deepEqual(found.sort(), [
      'config map ca',
      'config map settings?',
      'persistent volume claim data',
      'secret key',
      'secret login',
      'service account runner',
    ]);
  });
});

describe('what an API server refuses', () => {
  const place = { context: 'prod', namespace: 'dev', server: 'https://k8s.example' };
  const told = (code: number | string, message: string) =>
    apiError({ code, body: JSON.stringify({ message }) }, place, 'the executor "k"', 'k');

  it('leads to the check where a right is missing', () => {
    const text =
      'jobs.batch is forbidden: User "jane" cannot create resource "jobs" in API group "batch" in the namespace "dev"';
    const error = told(403, text);
    assert.equal(error.message, 'You may not create jobs in the namespace dev');
    assert.deepEqual(error.action, { kind: 'check-kubernetes', executor: 'k' });
  });

  it('is said plainly', () => {
    const quota =
      'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2';
    const cases: readonly [number | string, string, RegExp][] = [
      [401, 'Unauthorized', /^The API server of prod does not accept your login$/],
      [404, 'namespaces "dev" not found', /^There is no namespace "dev" in prod$/],
      [403, quota, /^The quota of the namespace dev is used up: small, requested/],
      [
        403,
        'pods "a" is forbidden: failed quota: q: must specify limits.cpu',
        /dev must specify limits.cpu$/,
      ],
      [
        403,
        'pods "a" is forbidden: violates PodSecurity "baseline:latest": host',
        /does not allow such pods/,
      ],
      [
        403,
        'pods "a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        /^The limits of the namespace dev do not allow it: maximum memory usage per Container is 1Gi/,
      ],
      [
        403,
        'pods "a" is forbidden: unable to validate against any security context constraint: [provider "x"]',
        /^The namespace dev does not allow such pods: unable to validate against any security context/,
      ],
      [400, 'admission webhook "x" denied the request: no', /^Kubernetes refuses: admission webhook/],
      [422, 'Pod "a" is invalid: spec.x: Required', /^Kubernetes does not take what it is told: /],
      [503, 'apiserver is shutting down', /can't answer now: apiserver is shutting down$/],
      [
        'ECONNREFUSED',
        '',
        /^The API server of prod at https:\/\/k8s.example does not answer: nothing listens/,
      ],
      ['ETIMEDOUT', '', /does not answer: no answer$/],
    ];
    for (const [code, message, expected] of cases) assert.match(told(code, message).message, expected);
  });
});

describe('the check of a kubeconfig', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** What it finds with a kubeconfig of that text. */
  async function found(text: string, context?: string): Promise<string> {
    const kubeconfig = join(folder, 'config');
    await writeFile(kubeconfig, text);
    const executor = { name: 'k', kind: 'kubernetes', image: 'etl:1', kubeconfig, context } as const;
    const findings = await checkKubernetes(executor, new AbortController().signal);
    assert.equal(findings.length, 1);
    assert.ok(findings[0]?.hint);
    return `${findings[0].severity}: ${findings[0].message}`;
  }

  /** One that logs in by a program. */
  const by = (command: string, ...args: readonly string[]) => `
apiVersion: v1
kind: Config
current-context: cloud
clusters: [{ name: c, cluster: { server: "https://127.0.0.1:2" } }]
contexts: [{ name: cloud, context: { cluster: c, user: u } }]
users:
  - name: u
    user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: ${JSON.stringify(command)}, args: ${JSON.stringify(args)} } }
`;

  it('says that it can’t be read, or has no such context', async () => {
    assert.match(await found('a: [b'), /^error: The kubeconfig can't be read: /);
    assert.equal(
      await found(by('x'), 'prod'),
      'error: The kubeconfig has no context "prod"; there are cloud',
    );
  });

  it('says what a program that logs in has come to', async () => {
    assert.equal(
      await found(by('no-such-login')),
      'error: The login to cloud is made by “no-such-login”, which is not found here',
    );
    assert.equal(
      await found(by(process.execPath, '-e', 'console.error("the session has expired"); process.exit(1)')),
      `error: The login to cloud by “${process.execPath}” fails: the session has expired`,
    );
    const credential = JSON.stringify({ status: { token: 't' } });
    assert.equal(
      await found(by(process.execPath, '-e', `console.log(${JSON.stringify(credential)})`)),
      'error: The API server of cloud at https://127.0.0.1:2 does not answer: nothing listens there',
    );
  });
});

describe('a request to an API server that ends its connection', () => {
  const goAway = new TypeError('fetch failed', {
    cause: new Error('HTTP/2: "GOAWAY" frame received with code 0'),
  });

  /** How often it is asked, where it fails so at first. */
  async function asked(...failures: readonly Error[]): Promise<number> {
    let count = 0;
    const answer = await persistent(async () => {
      const failure = failures[count];
      count += 1;
      if (failure) throw failure;
      return 'answer';
    });
    assert.equal(answer, 'answer');
    return count;
  }

  it('is made again, as it has not been looked at; but not for ever', async () => {
    assert.equal(await asked(), 1);
    assert.equal(await asked(goAway, goAway), 3);
    await assert.rejects(asked(goAway, goAway, goAway, goAway), goAway);
  });

  it('is not made again where nobody knows', async () => {
    const broken = new TypeError('fetch failed', { cause: new Error('read ECONNRESET') });
    await assert.rejects(asked(broken), broken);
  });
});
