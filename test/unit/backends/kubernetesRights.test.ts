import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dumpYaml, loadAllYaml } from '@kubernetes/client-node';
import { objectNames } from '../../../src/backends/kubernetes/deployment/store.ts';
import {
  deploymentRights,
  isNeeded,
  type Right,
  rights,
  rightsManifest,
  rightsOf,
  rightsText,
} from '../../../src/backends/kubernetes/rights.ts';

const folder = fileURLToPath(new URL('../../../src/backends/kubernetes', import.meta.url));
/** They only look, and get on without an answer. */
const lookers = ['check.ts', 'references.ts'];
const words = ({ verb, resource }: Right) => `${verb} ${resource}`;

describe('rights on Kubernetes', () => {
  it('are those that the code asks for, and no others', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !lookers.includes(name));
    const source = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
    const verbs: Readonly<Record<string, string>> = { read: 'get', list: 'list' };
    const named = /\.(create|read|get|list|delete|patch|replace)Namespaced(\w+)\((?:\s*\{\s*\.\.\.(\w+))?/g;
    const calls = [...source.matchAll(named)].map(([, call = '', kind = '', resource = '']) => {
      const thing = kind === 'CustomObject' ? resource : `${kind}s`;
      return `${verbs[call] ?? call} ${thing.toLowerCase()}`;
    });
    assert.ok(calls.length > 8);
    // Those that are asked by a path: watching, logs, WebSockets.
    const others = [
      ...(source.includes('api.watch(') ? ['watch pods'] : []),
      ...(source.includes('/log`') ? ['get pods/log'] : []),
      ...['exec', 'portforward'].flatMap((part) =>
        source.includes(`\`${part}?`) ? [`get pods/${part}`, `create pods/${part}`] : [],
      ),
    ];
    const known = new Set(rights.map(words));
    assert.deepEqual([...new Set([...calls, ...others])].sort(), [...known].sort());
  });

  it('of deploying are those on each kind of object that is made, on what those grant, and on trying pods out', () => {
    const all = new Set(objectNames('etl').map(({ kind }) => `${kind.toLowerCase()}s`.replace('ys', 'ies')));
    const objects = [...all].flatMap((kind) =>
      ['get', 'create', 'patch', 'delete'].map((verb) => `${verb} ${kind}`),
    );
    const more = ['list deployments', 'get deployments/scale', 'patch deployments/scale'];
    assert.deepEqual(
      deploymentRights.map(words).sort(),
      [...objects, ...more, 'create pods', 'patch pods'].sort(),
    );
  });

  it('are needed, but for those without which there is only less to see', () => {
    const optional = rights.filter((right) => !isNeeded(right, 34)).map(words);
    assert.deepEqual(optional, [
      ...['patch daskclusters', 'create pods/portforward'],
      ...['get pods/exec', 'create pods/exec', 'get pods', 'get jobs', 'list jobs'],
      ...['delete pods', 'list events'],
    ]);
    for (const minor of [35, 40, undefined]) {
      const now = rights.filter((right) => !isNeeded(right, minor)).map(words);
      assert.deepEqual(
        now,
        optional.filter((one) => one !== 'create pods/portforward'),
      );
    }
  });

  it('are fewer where the operator makes the pods, and none of its resources where it does not', () => {
    const of = (way: 'plain' | 'operator') => rightsOf(way).map(words);
    const not = (some: string[], others: string[]) => some.filter((one) => !others.includes(one));
    assert.deepEqual(not(of('plain'), of('operator')), ['create pods', 'create services']);
    const more = not(of('operator'), of('plain'));
    assert.ok(more.length > 0 && more.every((one) => / dask(clusters|workergroups)$/.test(one)));
    const needed = rightsOf('operator').filter((right) => isNeeded(right, 34));
    assert.ok(!needed.map(words).includes('delete pods'));
  });

  it('read as what may not be done', () => {
    const some = rights.filter(({ resource }) => ['secrets', 'pods/portforward'].includes(resource));
    assert.deepEqual(rightsText(some), ['create secrets', 'get and create pods/portforward']);
  });

  it('are granted by a manifest of exactly what is missing', () => {
    const some = rights.filter(({ resource }) => ['jobs', 'secrets'].includes(resource));
    const text = rightsManifest(some, 'dev', 'jane@example.com')
      .map((part) => dumpYaml(part))
      .join('---\n');
    const [role, binding] = JSON.parse(JSON.stringify(loadAllYaml(text)));
    const { name } = role.metadata;
    assert.match(name, /^flow-clusters-[0-9a-f]{8}$/);
    assert.deepEqual(role, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name, namespace: 'dev' },
      rules: [
        { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create', 'patch', 'delete', 'get', 'list'] },
        { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
      ],
    });
    assert.deepEqual(binding, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name, namespace: 'dev' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jane@example.com' }],
    });
  });

  it('are granted to a service account as one, and never in the place of what was granted before', () => {
    const user = 'system:serviceaccount:ci:runner';
    const manifest = (some: readonly Right[], who: string) =>
      JSON.stringify(rightsManifest(some, 'dev', who));
    assert.ok(
      manifest(rights, user).includes('[{"kind":"ServiceAccount","name":"runner","namespace":"ci"}]'),
    );
    const name = (text: string) => /flow-clusters-[0-9a-f]{8}/.exec(text)?.[0];
    const names = [manifest(rights, user), manifest(rights.slice(1), user), manifest(rights, 'jane')].map(
      name,
    );
    assert.equal(new Set(names).size, 3);
    assert.equal(name(manifest(rights, user)), names[0]);
  });
});
