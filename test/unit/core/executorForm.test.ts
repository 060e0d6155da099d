import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  carriedOver,
  type FormField,
  type FormValues,
  fieldsOf,
  formValues,
  type KindForm,
  kindForms,
  type Profile,
  readForm,
  type Schema,
} from '../../../src/core/executorForm.ts';
import { describedSchema } from './describedForms.ts';

const schema = describedSchema();
const forms = kindForms(schema);
const formFor = (kind: string): KindForm => {
  const form = forms.find((one) => one.kind === kind);
  assert.ok(form, kind);
  return form;
};
const field = (kind: string, path: string): FormField => {
  const found = fieldsOf(formFor(kind)).find((one) => one.path === path);
  assert.ok(found, `${kind}: ${path}`);
  return found;
};
const filled = (kind: string, values: FormValues): FormValues => ({
  ...formValues(formFor(kind), {}),
  ...values,
});

describe('the form of an executor', () => {
  it('has every option of the schema once, each with a text', () => {
    assert.deepEqual(
      forms.map(({ kind }) => kind),
      (schema.oneOf ?? []).map(({ properties }) => properties?.kind?.enum?.[0]),
    );
    for (const form of forms) {
      const fields = fieldsOf(form);
      const paths = fields.map(({ path }) => path);
      assert.equal(new Set(paths).size, paths.length, form.kind);
      for (const { help, path } of fields) assert.notEqual(help, '', `${form.kind}: ${path}`);
    }
  });

  it('has them in groups; what is seldom needed comes last and closed', () => {
    const kubernetes = formFor('kubernetes').groups;
    assert.deepEqual(
      kubernetes.map(({ title }) => title),
      ['Executor', 'Image', 'Place', 'Workers', 'Scaling', 'Environment', 'Lifetime', 'Advanced'],
    );
    assert.deepEqual(
      kubernetes.filter(({ folded }) => folded).map(({ title }) => title),
      ['Advanced'],
    );
    assert.deepEqual(
      formFor('local').groups.map(({ title, fields }) => [title, fields.map(({ path }) => path)]),
      [
        ['Executor', ['name']],
        ['Workers', ['n_workers', 'threads_per_worker', 'processes', 'memory_limit']],
        ['Scaling', ['adapt_kwargs']],
        ['Advanced', ['scheduler_port']],
      ],
    );
  });

  it('knows how each is entered', () => {
    const typeAt = (kind: string, path: string) => field(kind, path).type;
    assert.equal(typeAt('local', 'name'), 'text');
    assert.equal(typeAt('local', 'n_workers'), 'number');
    assert.equal(typeAt('local', 'memory_limit'), 'scalar');
    assert.equal(typeAt('local', 'adapt_kwargs'), 'part');
    assert.equal(typeAt('local', 'adapt_kwargs.maximum'), 'number');
    assert.deepEqual(field('local', 'processes').choices, ['true', 'false']);
    assert.deepEqual(field('docker', 'pull').choices, ['missing', 'always', 'never']);
    assert.equal(field('docker', 'idle_timeout').unit, 'seconds');
    assert.equal(typeAt('docker', 'gpus'), 'scalar');
    assert.equal(typeAt('docker', 'env'), 'map');
    assert.equal(typeAt('clusterClass', 'cluster_kwargs'), 'arguments');
    assert.equal(typeAt('docker', 'volumes'), 'lines');
    assert.equal(typeAt('docker', 'worker_options'), 'json');
    assert.equal(typeAt('kubernetes', 'volumes'), 'json');
    assert.equal(typeAt('kubernetes', 'pod_template'), 'json');
    assert.equal(typeAt('kubernetes', 'scheduler.limits'), 'map');
    assert.equal(typeAt('localDask', 'scheduler'), 'choice');
    assert.ok(field('existing', 'security.ca').required);
    assert.ok(!field('existing', 'security.key').required);
  });

  it('takes a kind that it has never seen from its schema alone', () => {
    const [form] = kindForms({
      oneOf: [
        {
          required: ['name', 'kind', 'cluster_class'],
          properties: {
            name: { type: 'string' },
            kind: { enum: ['clusterClass'] },
            cluster_class: { type: 'string', markdownDescription: 'An import path.' },
            cluster_kwargs: { type: 'object' },
            start_timeout: { type: 'integer' },
          },
        },
      ],
    });
    assert.ok(form);
    const values = {
      name: 'slurm',
      cluster_class: 'dask_jobqueue.SLURMCluster',
      cluster_kwargs: '{"cores": 4}',
    };
    assert.deepEqual(readForm(form, values), {
      profile: {
        name: 'slurm',
        kind: 'clusterClass',
        cluster_class: 'dask_jobqueue.SLURMCluster',
        cluster_kwargs: { cores: 4 },
      },
      problems: {},
    });
  });
});

describe('reading the form', () => {
  it('leaves out what is empty', () => {
    assert.deepEqual(readForm(formFor('docker'), filled('docker', { name: ' d ', image: 'etl' })), {
      profile: { name: 'd', kind: 'docker', image: 'etl' },
      problems: {},
    });
  });

  it('makes numbers, texts, lists and objects of what was typed', () => {
    const { profile, problems } = readForm(
      formFor('docker'),
      filled('docker', {
        ...{ name: 'd', image: 'etl', n_workers: '4', memory_limit: '4GiB', gpus: '2', cpus: '1.5' },
        adapt_kwargs: 'true',
        'adapt_kwargs.maximum': '8',
        env: [
          ['LEVEL', '1'],
          ['', ''],
        ],
        resources: [['GPU', '1']],
        volumes: '/data:/data:ro\n\n /models:/models ',
        worker_options: '{ "nthreads": 2 }',
      }),
    );
    assert.deepEqual(problems, {});
    assert.deepEqual(profile, {
      ...{ name: 'd', kind: 'docker', image: 'etl', n_workers: 4, memory_limit: '4GiB', gpus: 2, cpus: 1.5 },
      ...{ adapt_kwargs: { maximum: 8 }, env: { LEVEL: '1' }, resources: { GPU: 1 } },
      ...{ volumes: ['/data:/data:ro', '/models:/models'], worker_options: { nthreads: 2 } },
    });
  });

  it('says at the field what is no value of it', () => {
    const problemsOf = (kind: string, values: FormValues) =>
      readForm(formFor(kind), filled(kind, values)).problems;
    assert.deepEqual(
      problemsOf('local', { n_workers: 'two', threads_per_worker: '1.5', scheduler_port: '70000' }),
      {
        n_workers: 'n_workers must be a whole number from 1 to 4096',
        threads_per_worker: 'threads_per_worker must be a whole number from 1 to 1024',
        scheduler_port: 'scheduler_port must be a whole number from 0 to 65535',
      },
    );
    assert.deepEqual(problemsOf('docker', { cpus: '0', resources: [['GPU', 'many']] }), {
      cpus: 'cpus must be a number above 0 up to 1024',
      resources: 'resources must have a number for GPU',
    });
    assert.deepEqual(
      problemsOf('docker', {
        env: [
          ['A', '1'],
          ['A', '2'],
        ],
      }),
      { env: 'env has A twice' },
    );
    assert.match(
      problemsOf('kubernetes', { tolerations: '[{' }).tolerations ?? '',
      /^tolerations is no JSON/,
    );
    assert.deepEqual(problemsOf('existing', { security: 'true' }), { 'security.ca': 'ca is needed' });
  });

  it('keeps options that it does not know, the order of keys, and values that were not touched', () => {
    const before = {
      ...{ kind: 'local', comment: 'ours', memory_limit: '4096', name: 'a' },
      adapt_kwargs: { interval: '1s', minimum: null },
      n_workers: 2,
    };
    const form = formFor('local');
    const values = { ...formValues(form, before), n_workers: '3' };
    const { profile } = readForm(form, values, before);
    assert.deepEqual(Object.entries(profile), Object.entries({ ...before, n_workers: 3 }));
  });

  it('mends a number that was written as text, once the form shows it as one', () => {
    const before = { name: 'a', kind: 'local', n_workers: '2' };
    const { profile } = readForm(formFor('local'), formValues(formFor('local'), before), before);
    assert.deepEqual(profile, { name: 'a', kind: 'local', n_workers: 2 });
  });

  it('reads the arguments of a class one by one, and says at each what is wrong with it', () => {
    const read = (rows: [string, string][]) =>
      readForm(formFor('clusterClass'), filled('clusterClass', { cluster_kwargs: rows }));
    const rows: [string, string][] = [
      ...([
        ['cores', '4'],
        ['memory', '8GB'],
        ['queue', ''],
      ] as [string, string][]),
      ['until', '{"$import": "datetime.timedelta", "kwargs": {"hours": 1}}'],
    ];
    assert.deepEqual(read(rows).profile.cluster_kwargs, {
      ...{ cores: 4, memory: '8GB' },
      until: { $import: 'datetime.timedelta', kwargs: { hours: 1 } },
    });
    assert.match(read([['env', '{']]).problems['cluster_kwargs.env'] ?? '', /^env is no JSON/);
    const twice = read([
      ['a', '1'],
      ['a', '2'],
    ]);
    assert.deepEqual(twice.problems, { cluster_kwargs: 'cluster_kwargs has a twice' });
  });

  it('has the YAML of a manifest stay as text, and one in JSON become an object', () => {
    const template = (text: string) =>
      readForm(formFor('kubernetes'), filled('kubernetes', { pod_template: text })).profile.pod_template;
    assert.equal(template('spec:\n  hostNetwork: true\n'), 'spec:\n  hostNetwork: true\n');
    assert.deepEqual(template('{ "spec": {} }'), { spec: {} });
  });

  it('carries what two kinds have in common over, and finds what stood there before', () => {
    const [local, docker] = [formFor('local'), formFor('docker')];
    const values = { ...formValues(local, { name: 'a', n_workers: 2 }), scheduler_port: '1' };
    const carried = carriedOver(local, docker, values, { ...formValues(docker, {}), image: 'etl' });
    assert.deepEqual(readForm(docker, carried).profile, {
      name: 'a',
      kind: 'docker',
      n_workers: 2,
      image: 'etl',
    });
    // A list of texts there, of manifests here.
    const volumes = carriedOver(docker, formFor('kubernetes'), { ...carried, volumes: 'a:/b' });
    assert.equal(volumes.volumes, '');
  });

  it('drops options of the kind that it was before', () => {
    const before = { name: 'a', kind: 'local', processes: false, note: 'kept' };
    const docker = formFor('docker');
    const values = {
      ...carriedOver(formFor('local'), docker, formValues(formFor('local'), before)),
      image: 'etl',
    };
    const { profile } = readForm(docker, values, before, forms);
    assert.deepEqual(profile, { name: 'a', kind: 'docker', note: 'kept', image: 'etl' });
  });
});

/** Values that a schema allows, as a person may have written them. */
function anyValue(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(anyValue));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  const { minimum: min = 0, maximum: max = 1_000_000 } = schema;
  return fc.oneof(
    ...types.map((type): fc.Arbitrary<unknown> => {
      switch (type) {
        case 'integer':
          return fc.integer({ min, max });
        case 'number':
          return fc.double({ min: Math.max(min, 0.001), max, noNaN: true });
        case 'boolean':
          return fc.boolean();
        case 'null':
          return fc.constant(null);
        case 'array':
          return fc.array(anyValue(schema.items ?? { type: 'string' }), { maxLength: 3 });
        case 'object': {
          const { properties, additionalProperties: of } = schema;
          if (properties) return profileOf(properties, schema.required ?? []);
          if (typeof of === 'object')
            return fc.dictionary(fc.string({ minLength: 1 }), anyValue(of), { noNullPrototype: true });
          return fc.dictionary(fc.string(), fc.jsonValue(), {
            noNullPrototype: true,
          }) as fc.Arbitrary<unknown>;
        }
        default:
          return fc.string({ minLength: 1 });
      }
    }),
  );
}

function profileOf(
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[],
): fc.Arbitrary<Record<string, unknown>> {
  const values = Object.fromEntries(Object.entries(properties).map(([key, of]) => [key, anyValue(of)]));
  return fc.record(values, { requiredKeys: [...required], noNullPrototype: true }) as fc.Arbitrary<
    Record<string, unknown>
  >;
}

describe('a profile in the form', () => {
  const { oneOf = [] } = schema;
  for (const { properties = {}, required = [] } of oneOf) {
    const kind = String(properties.kind?.enum?.[0]);

    it(`comes out as it went in (${kind})`, () => {
      const form = formFor(kind);
      fc.assert(
        fc.property(profileOf(properties, required), fc.jsonValue(), (known, extra) => {
          const profile: Profile = { ...known, 'not in the schema': extra };
          const { profile: read, problems } = readForm(form, formValues(form, profile), profile, forms);
          assert.deepEqual(problems, {});
          assert.deepEqual(read, profile);
          assert.deepEqual(Object.keys(read), Object.keys(profile));
        }),
      );
    });

    it(`is the same when typed anew (${kind})`, () => {
      const form = formFor(kind);
      fc.assert(
        fc.property(profileOf(properties, required), (profile) => {
          const values = formValues(form, profile);
          const { profile: typed } = readForm(form, values);
          // What it has become is shown as what was typed; blanks alone are nothing.
          const again = readForm(form, formValues(form, typed), typed);
          assert.deepEqual(again.profile, typed);
        }),
      );
    });
  }
});
