import assert from 'node:assert/strict';
import {
  checkDraft,
  codeTabs,
  type Draft,
  draftOf,
  filledDraft,
  rebased,
  savedExecutors,
  withKind,
} from '../../../src/core/executorDraft.ts';
import { describedForms } from './describedForms.ts';

const forms = describedForms();
const machine = { cores: 8, memoryBytes: 16 * 2 ** 30 };
const check = (draft: Draft, setting: unknown = []) =>
  checkDraft(draft, { forms, saved: savedExecutors(setting), machine });
const typed = (kind: string, values: Record<string, string>): Draft => {
  const draft = draftOf(forms, undefined, kind);
  return { ...draft, values: { ...draft.values, ...values } };
};
const opened = (setting: unknown, key: string, values: Record<string, string> = {}): Draft => {
  const draft = draftOf(
    forms,
    savedExecutors(setting).find((one) => one.key === key),
  );
  return { ...draft, values: { ...draft.values, ...values } };
};

describe('executors that can be edited', () => {
  it('are those of the settings, the bad ones too, and the one that is there without', () => {
    const keys = (setting: unknown) => savedExecutors(setting).map(({ key, index }) => [key, index]);
    assert.deepEqual(keys(undefined), [['local', undefined]]);
    assert.deepEqual(keys('nonsense'), [['local', undefined]]);
    assert.deepEqual(keys([{ name: 'local', kind: 'local' }, { kind: 'docker' }, 5]), [
      ['local', 0],
      ['executor 2', 1],
      ['executor 3', 2],
    ]);
  });

  it('open as they are: nothing has changed yet', () => {
    const setting = [{ name: 'a', kind: 'local', n_workers: 2, note: 'kept' }];
    const { profile, changed, savable } = check(opened(setting, 'a'), setting);
    assert.deepEqual({ profile, changed, savable }, { profile: setting[0], changed: false, savable: false });
  });
});

describe('an executor of no kind that there is', () => {
  const setting = [{ name: 'gpu', kind: 'Docker', image: 'etl', cpus: 2 }];
  const kinds = /^kind must be "local", "docker"/;

  it('is shown so, and nothing of it is thrown away', () => {
    const { profile, problems, changed, savable } = check(opened(setting, 'gpu'), setting);
    assert.deepEqual({ profile, changed, savable }, { profile: setting[0], changed: false, savable: false });
    assert.deepEqual(Object.keys(problems), ['kind']);
    assert.match(problems.kind ?? '', kinds);
    const without = [{ name: 'a' }];
    assert.match(check(opened(without, 'a'), without).problems.kind ?? '', kinds);
  });

  it('has what is written there when a kind is chosen', () => {
    const draft = withKind(opened(setting, 'gpu'), forms, 'docker');
    const { profile, savable } = check(draft, setting);
    assert.deepEqual({ profile, savable }, { profile: { ...setting[0], kind: 'docker' }, savable: true });
    const back = withKind(withKind(draft, forms, 'local'), forms, 'docker');
    assert.deepEqual(check(back, setting).profile, { ...setting[0], kind: 'docker' });
  });
});

describe('a draft of an executor that was changed in the settings meanwhile', () => {
  const was = { name: 'a', kind: 'local', n_workers: 1, threads_per_worker: 2 };
  const draft = opened([was], 'a', { memory_limit: '2GiB' });
  const now = (profile: object) => savedExecutors([profile])[0];

  it('goes on with what they have now where nothing was entered', () => {
    const is = { name: 'a', kind: 'local', n_workers: 7, processes: true };
    assert.equal(check(draft, [is]).savable, false);
    const { profile, savable, outdated } = check(rebased(draft, forms, now(is)), [is]);
    const wanted = { profile: { ...is, memory_limit: '2GiB' }, savable: true, outdated: undefined };
    assert.deepEqual({ profile, savable, outdated }, wanted);
    const docker = rebased(withKind(draft, forms, 'docker'), forms, now(is));
    assert.deepEqual(check(withKind(docker, forms, 'local'), [is]).profile, profile);
  });

  it('is not saved over what was changed there as well, unless one insists', () => {
    const is = { name: 'a', kind: 'local', n_workers: 7, memory_limit: '4GiB' };
    const same = rebased(draft, forms, now(is));
    assert.equal(same, draft);
    const { savable, outdated } = check(same, [is]);
    assert.deepEqual([savable, outdated], [false, 'memory_limit changed in the settings meanwhile.']);
    const insisted = check(rebased(draft, forms, now(is), true), [is]);
    assert.deepEqual(insisted.profile, { ...is, memory_limit: '2GiB' });
    assert.equal(insisted.savable, true);

    const other = { name: 'a', kind: 'docker', image: 'etl' };
    assert.equal(
      check(rebased(draft, forms, now(other)), [other]).outdated,
      'kind changed in the settings meanwhile.',
    );
  });

  it('has nothing to save where they have the same by now', () => {
    const is = { ...was, memory_limit: '2GiB' };
    const { changed, savable } = check(rebased(draft, forms, now(is)), [is]);
    assert.deepEqual([changed, savable], [false, false]);
  });
});

describe('a draft', () => {
  it('can be saved when nothing is wrong and something is new', () => {
    const setting = [{ name: 'a', kind: 'local' }];
    assert.equal(check(opened(setting, 'a', { n_workers: '3' }), setting).savable, true);
    assert.equal(check(opened(setting, 'a', { n_workers: '0' }), setting).savable, false);
    assert.equal(check(opened([], 'local')).savable, true);
    const empty = check(draftOf(forms, undefined));
    assert.deepEqual([empty.changed, empty.savable], [false, false]);
  });

  it('has each problem at its field, in the words that the settings are judged with', () => {
    assert.deepEqual(check(typed('docker', { name: 'd', docker_host: 'nowhere', cpus: 'x' })).problems, {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is written so in settings
      image: 'image must be the name of an image, such as "my-prefect-image", or "${runImage}"',
      docker_host: 'docker_host must be an address such as "unix:///var/run/docker.sock"',
      cpus: 'cpus must be a number above 0 up to 1024',
    });
    const limits = {
      name: 'a',
      adapt_kwargs: 'true',
      'adapt_kwargs.minimum': '4',
      'adapt_kwargs.maximum': '2',
    };
    assert.match(
      check(typed('local', limits)).problems.adapt_kwargs ?? '',
      /^adapt_kwargs: The maximum \(2\)/,
    );
    assert.deepEqual(check(typed('existing', { name: 'a', address: 'a:1', security: 'true' })).problems, {
      'security.ca': 'ca is needed',
    });
  });

  it('may not take the name of another executor, but that of the built-in one', () => {
    const setting = [
      { name: 'a', kind: 'local' },
      { name: 'b', kind: 'local' },
    ];
    assert.deepEqual(check(opened(setting, 'b', { name: 'a' }), setting).problems, {
      name: 'this name is taken',
    });
    assert.deepEqual(check(opened(setting, 'b', { name: 'local' }), setting).problems, {});
    const twice = [setting[0], setting[0]];
    assert.deepEqual(check(opened(twice, 'a (executor 2)'), twice).problems, { name: 'this name is taken' });
  });

  it('tells what is wrong with no field of it, and what is to be known', () => {
    const setting = [{ name: 'a', kind: 'local', workers: 4 }];
    assert.deepEqual(check(opened(setting, 'a'), setting).findings, [
      { severity: 'error', message: 'unknown option "workers"' },
    ]);
    const { findings } = check(typed('local', { name: 'a', n_workers: '16' }));
    assert.deepEqual(findings, [
      { severity: 'info', message: '16 workers are more than the 8 cores of this machine.' },
    ]);
  });

  it('tells what holds where nothing is entered, as Dask chooses it', () => {
    const usual = (values: Record<string, string>) => check(typed('local', values)).usual;
    const size = ({ n_workers, threads_per_worker }: Readonly<Record<string, string>>) =>
      `${n_workers} × ${threads_per_worker}`;
    assert.equal(size(usual({})), '4 × 2');
    assert.equal(size(usual({ processes: 'false' })), '1 × 8');
    assert.equal(usual({ threads_per_worker: '3' }).n_workers, '2');
    assert.equal(usual({ n_workers: '3' }).threads_per_worker, '3');
    assert.equal(usual({ adapt_kwargs: 'true' }).n_workers, undefined);
    assert.equal(check(typed('kubernetes', {})).usual.start_timeout, '300');
    assert.equal(
      check(typed('kubernetes', { adapt_kwargs: 'true', 'adapt_kwargs.minimum': '3' })).usual.n_workers,
      '3',
    );
    assert.equal(check(typed('localDask', {})).usual.num_workers, '8');
  });

  it('is code in each API, where there is such code, and the lines of the setting', () => {
    const tabs = codeTabs(check(typed('local', { name: 'a', n_workers: '2' })), {
      YAML: { text: 'name: a' },
    });
    assert.deepEqual(
      tabs.map(({ title }) => title),
      ['Prefect 2 and 3', 'Prefect 1', 'Dask', 'JSON', 'YAML'],
    );
    assert.match(tabs[0]?.text ?? '', /DaskTaskRunner\(cluster_kwargs=\{"n_workers": 2\}\)/);
    assert.deepEqual(JSON.parse(tabs[3]?.text ?? ''), { name: 'a', kind: 'local', n_workers: 2 });
    const whys = (kind: string, values: Record<string, string>) =>
      codeTabs(check(typed(kind, values)), {}).map(({ why }) => why?.split('.')[0]);
    assert.deepEqual(
      whys('docker', { name: 'd', image: 'etl' }).slice(0, 3),
      Array(3).fill('Dask has no class that does this'),
    );
    assert.deepEqual(
      whys('docker', {}).slice(0, 3),
      Array(3).fill('There is code when the form has no problem'),
    );
    assert.match(whys('localDask', { name: 'a' })[0] ?? '', /Prefect 1 alone/);
  });

  it('has code without a name, which it does without, and whatever is wrong with that', () => {
    const [first] = codeTabs(check(typed('local', { n_workers: '2' })), {});
    assert.match(first?.text ?? '', /"n_workers": 2/);
    assert.equal(first?.editable, true);
    const [wrong] = codeTabs(check(typed('local', { name: 'a', n_workers: 'two' })), {});
    assert.deepEqual([wrong?.text, wrong?.editable], [undefined, true]);
  });

  it('has code of pods when that is written, which is to be copied and not edited', () => {
    const pods = check(typed('kubernetes', { name: 'a', image: 'etl' }));
    const late = { Dask: { text: 'KubeCluster()' }, YAML: { why: 'because' } };
    assert.deepEqual(
      codeTabs(pods, late).map(({ title, text, why, editable }) => [
        title,
        text ?? why?.split(':')[0],
        editable,
      ]),
      [
        ['Prefect 2 and 3', 'Writing it…', false],
        ['Prefect 1', 'Writing it…', false],
        ['Dask', 'KubeCluster()', false],
        ['JSON', JSON.stringify(pods.profile, undefined, 2), true],
        ['YAML', 'because', false],
      ],
    );
  });
});

describe('a draft that follows its code', () => {
  const profile = { name: 'a', kind: 'existing', address: 'tcp://host:8786' } as const;
  const saved = (of: object) => ({ profile: { ...profile, ...of }, leftOut: [] });

  it('has of that what differs from what the code was: the fields may say it in other words', () => {
    const draft = typed('existing', {
      name: 'prod',
      address: 'host',
      security: 'true',
      'security.ca': 'ca.pem',
    });
    const was = saved({ security: { ca: '/work/ca.pem' } });
    const valuesOf = (of: object) =>
      checkDraft(filledDraft(forms, saved(of), draft, was), { forms, saved: [], machine }).profile;
    assert.deepEqual(valuesOf({ security: { ca: '/work/ca.pem' } }), {
      ...{ name: 'prod', kind: 'existing', address: 'host', security: { ca: 'ca.pem' } },
    });
    assert.deepEqual(valuesOf({ address: 'tcp://other:1' }), {
      ...{ name: 'prod', kind: 'existing', address: 'tcp://other:1' },
    });
  });

  it('keeps what stands in the form of another kind', () => {
    const draft = typed('docker', { name: 'a', image: 'etl' });
    const filled = filledDraft(forms, saved({}), draft);
    assert.equal(filled.kind, 'existing');
    assert.equal(
      checkDraft(withKind(filled, forms, 'docker'), { forms, saved: [], machine }).profile.image,
      'etl',
    );
  });
});
