import assert from 'node:assert/strict';
import type { PreflightFacts, SchedulerFacts, WorkerFacts } from '../../../src/core/preflight/facts.ts';
import type { Finding } from '../../../src/core/preflight/finding.ts';
import { judge } from '../../../src/core/preflight/judge.ts';
import { judgeLoad, loadOf } from '../../../src/core/preflight/load.ts';
import { aWorker, infoOf } from './samples.ts';

const packages = { dask: '2026.8.0', distributed: '2026.8.0', cloudpickle: '3.1.2', msgpack: '1.2.4' };
const env = { python: '3.11.7', executable: '/env/bin/python', packages };
const GiB = 1024 ** 3;

const worker = (name: string, other: Partial<WorkerFacts> = {}): WorkerFacts => ({
  address: `tcp://10.0.0.2:${name}`,
  name,
  host: '10.0.0.2',
  status: 'running',
  threads: 2,
  busy: 0,
  memory: GiB,
  memory_limit: 4 * GiB,
  resources: {},
  missing: [],
  ...env,
  ...other,
});

const well: PreflightFacts = {
  ours: { ...env, host: '10.0.0.1' },
  scheduler: { ...env, clients: {}, held: 0, missing: [] },
  workers: [worker('a'), worker('b'), worker('c')],
  needs: { modules: [], resources: [], workspace: [], partial: false },
  api: null,
  seconds: 0.1,
};

const address = 'tcp://10.0.0.2:8786';
const text = ({ severity, message }: Finding) => `${severity}: ${message}`;
const judged = (facts: Partial<PreflightFacts>) => judge({ ...well, ...facts }, address);
/** What would be told of a run. */
const told = (facts: Partial<PreflightFacts>) =>
  judged(facts)
    .filter(({ severity }) => severity !== 'good')
    .map(text);

const all = (other: Partial<WorkerFacts>) => well.workers.map((one) => ({ ...one, ...other }));
const one = (other: Partial<WorkerFacts>) => [...well.workers.slice(0, 2), worker('c', other)];
const scheduler = (other: Partial<SchedulerFacts>) => ({ scheduler: { ...well.scheduler, ...other } });
const version = (name: string, number: string) => ({ packages: { ...packages, [name]: number } });
const oldCluster = (number: string) => ({
  ...scheduler(version('distributed', number)),
  workers: all(version('distributed', number)),
});
const use = (name: string, other: object = {}) => ({
  ...({ name, file: '/w/flow.py', line: 3, use: 'tasks', inside: false, here: true } as const),
  ...other,
});
const needs = (...modules: ReturnType<typeof use>[]) => ({
  needs: { modules, resources: [], workspace: [], partial: false },
});
const asksFor = (amounts: Record<string, number>) => ({
  needs: { ...needs().needs, resources: [{ amounts, file: '/w/flow.py', line: 7 }] },
});
const prefect = (ours: string, theirs: string) => ({
  ours: { ...well.ours, ...version('prefect', ours) },
  workers: all(version('prefect', theirs)),
});
const api = (url: string | null, ...answers: (string | null)[]) => ({
  api: { url, ours: url === null },
  workers: answers.map((answer, i) => worker(`w${i}`, { api: answer })),
});

const table: readonly (readonly [name: string, facts: Partial<PreflightFacts>, ...told: string[]])[] = [
  ['nothing when all is well', {}],

  [
    'another patch of Python: to know',
    { workers: all({ python: '3.11.2' }) },
    'info: Python 3.11.7 here, 3.11.2 on all 3 workers',
  ],
  [
    'another Python on a worker',
    { workers: one({ python: '3.10.1' }) },
    'error: Python 3.11 here, but 3.10 on 1 of 3 workers (c)',
  ],
  [
    'a scheduler whose Python cannot read our functions',
    scheduler({ python: '3.10.1' }),
    'error: Python 3.11 here, but 3.10 at the scheduler',
  ],
  [
    'a scheduler whose Python can',
    scheduler({ python: '3.12.1' }),
    'info: Python 3.11 here, but 3.12 at the scheduler',
  ],
  [
    'a scheduler that reads no functions',
    {
      ...scheduler({ python: '3.8.1', ...version('distributed', '2023.3.2') }),
      ours: { ...well.ours, ...version('distributed', '2023.3.2') },
      workers: all(version('distributed', '2023.3.2')),
    },
    'info: Python 3.11 here, but 3.8 at the scheduler',
  ],

  [
    'an older cluster that still understands',
    oldCluster('2025.4.0'),
    'warning: distributed 2026.8.0 here, but 2025.4.0 at the scheduler',
  ],
  [
    'an older cluster that does not',
    oldCluster('2025.3.1'),
    'error: distributed 2026.8.0 here, but 2025.3.1 at the scheduler',
  ],
  [
    'another patch of distributed: to know',
    oldCluster('2026.8.1'),
    'info: distributed 2026.8.0 here, but 2026.8.1 at the scheduler',
  ],
  [
    'a worker that the scheduler does not understand',
    { workers: one(version('distributed', '2024.8.2')) },
    'error: distributed 2026.8.0 at the scheduler, but 2024.8.2 on 1 of 3 workers (c)',
  ],
  [
    'a worker that it does',
    { workers: one(version('distributed', '2026.3.0')) },
    'warning: distributed 2026.8.0 at the scheduler, but 2026.3.0 on 1 of 3 workers (c)',
  ],
  [
    'another cloudpickle',
    { workers: all(version('cloudpickle', '2.2.1')) },
    'error: cloudpickle 3.1.2 here, but 2.2.1 on all 3 workers',
  ],
  [
    'a cloudpickle a little older',
    { workers: all(version('cloudpickle', '3.0.0')) },
    'info: cloudpickle 3.1.2 here, but 3.0.0 on all 3 workers',
  ],
  [
    'another msgpack',
    { workers: all(version('msgpack', '0.6.2')) },
    'warning: msgpack 1.2.4 here, but 0.6.2 on all 3 workers',
  ],
  ['another Prefect', prefect('3.8.8', '2.20.26'), 'error: prefect 3.8.8 here, but 2.20.26 on all 3 workers'],
  [
    'a Prefect a little older',
    prefect('3.8.8', '3.4.0'),
    'warning: prefect 3.8.8 here, but 3.4.0 on all 3 workers',
  ],
  [
    'another patch of Prefect',
    prefect('3.8.8', '3.8.1'),
    'info: prefect 3.8.8 here, but 3.8.1 on all 3 workers',
  ],
  [
    'another numpy, if the flow imports it',
    { ours: { ...well.ours, ...version('numpy', '2.4.6') }, workers: all(version('numpy', '1.26.4')) },
    'warning: numpy 2.4.6 here, but 1.26.4 on all 3 workers',
  ],
  [
    'versions that nobody has told',
    { scheduler: { error: 'other' }, workers: all({ python: '', packages: null }) },
    'warning: Who else uses the cluster, and what the scheduler has installed, could not be looked at',
  ],

  [
    'a module that some workers lack',
    { ...needs(use('pandas')), workers: one({ missing: ['pandas'] }) },
    'error: pandas is missing on 1 of 3 workers (c)',
  ],
  [
    'modules that all lack, together',
    {
      ...needs(use('pandas'), use('pyarrow')),
      workers: all({ missing: ['pandas', 'pyarrow'] }),
      ...scheduler({ missing: ['pandas', 'pyarrow'] }),
    },
    'error: pandas and pyarrow are missing on the scheduler and all 3 workers',
  ],
  [
    'one that the scheduler lacks',
    { ...needs(use('pandas')), ...scheduler({ missing: ['pandas'] }) },
    'error: pandas is missing on the scheduler',
  ],
  [
    'none that an old scheduler lacks: it reads no tasks',
    {
      ...oldCluster('2023.1.0'),
      ...scheduler({ missing: ['pandas'], ...version('distributed', '2023.1.0') }),
      ...needs(use('pandas')),
    },
    'error: distributed 2026.8.0 here, but 2023.1.0 at the scheduler',
  ],
  [
    'one that only the data of a script may need',
    { ...needs(use('pandas', { use: 'script' })), workers: all({ missing: ['pandas'] }) },
    'warning: pandas is missing on all 3 workers',
  ],
  [
    'none that only code here needs',
    { ...needs(use('matplotlib', { use: 'main' })), workers: all({ missing: ['matplotlib'] }) },
  ],
  [
    'one that is not installed here',
    needs(use('pandas', { here: false })),
    'error: pandas is not installed here, for /env/bin/python',
  ],
  [
    'one that is imported in functions, and there',
    needs(use('cupy', { here: false, inside: true })),
    'info: cupy is not installed here, for /env/bin/python',
  ],
  [
    'modules of the workspace that cannot travel',
    {
      ours: { ...well.ours, ...version('cloudpickle', '1.6.0') },
      needs: { ...needs().needs, workspace: ['helper'] },
      workers: [],
    },
    'warning: cloudpickle 1.6.0 does not send modules of the workspace to workers: helper',
    'warning: There are no workers: the run waits until some come',
  ],
  [
    'source that was too much',
    { needs: { ...needs().needs, partial: true } },
    'info: The workspace has too much source to look through all of it: modules may be missing',
  ],

  [
    'an API of ours on loopback, with workers elsewhere',
    api(null, null, 'connection refused'),
    'error: 1 of 2 workers (w1) does not reach the Prefect API server on this machine: connection refused',
  ],
  [
    'an API elsewhere',
    api('https://prefect.example/api', 'no answer', 'no answer'),
    'error: Both workers do not reach the Prefect API at https://prefect.example/api: no answer',
  ],
  [
    'an API that answers nobody',
    { api: { url: 'http://127.0.0.1:4200/api', ours: false, here: 'connection refused' } },
    'error: The Prefect API at http://127.0.0.1:4200/api does not answer: connection refused',
  ],

  ['no workers', { workers: [] }, 'warning: There are no workers: the run waits until some come'],
  [
    'all threads busy',
    { workers: all({ busy: 5 }), ...scheduler({ held: 7, clients: { 'Client-1': 3 } }) },
    'warning: All 6 threads are busy: the run waits for its turn (15 tasks assigned, 7 waiting, 1 other client connected)',
  ],
  [
    'paused workers',
    { workers: one({ status: 'paused' }) },
    'warning: Paused for want of memory: 1 of 3 workers (c)',
  ],
  [
    'nothing but paused workers',
    { workers: all({ status: 'paused' }) },
    'warning: Paused for want of memory: all 3 workers',
    'warning: No worker takes tasks now: the run waits',
  ],
  [
    'workers that leave',
    { workers: one({ status: 'closing_gracefully' }) },
    'info: On their way out: 1 of 3 workers (c)',
  ],
  [
    'workers nearly out of memory',
    { workers: one({ memory: 3.5 * GiB }) },
    'warning: Nearly out of memory: 1 of 3 workers (c)',
  ],

  [
    'resources that nobody offers',
    { ...asksFor({ GPU: 2 }), workers: one({ resources: { GPU: 1 } }) },
    'error: No worker offers GPU=2: tasks that ask for it wait for ever',
  ],
  [
    'none that somebody offers',
    { ...asksFor({ GPU: 1, RAM: 4 }), workers: one({ resources: { GPU: 1, RAM: 8 } }) },
  ],

  [
    'what is forbidden',
    { ...scheduler({ error: 'forbidden' }), workers: all({ error: 'forbidden' }) },
    'info: Who else uses the cluster, and what the scheduler has installed, could not be looked at: it forbids that',
    'info: Modules and the Prefect API could not be checked on all 3 workers',
  ],
  [
    'who is silent',
    { workers: one({ error: 'silent' }) },
    'warning: No answer in time from 1 of 3 workers (c)',
  ],
  [
    'who answers nonsense',
    { workers: one({ error: 'other', text: 'ValueError: no' }) },
    'warning: 1 of 3 workers (c) could not be checked: ValueError: no',
  ],
  [
    'nothing else when nothing answers',
    { problem: 'it does not answer', workers: [] },
    `error: The scheduler at ${address} could not be asked: it does not answer`,
  ],
];

describe('preflight', () => {
  for (const [name, facts, ...expected] of table) {
    it(`tells ${name}`, () => assert.deepEqual(told(facts), expected));
  }

  it('tells what is good, when asked', () => {
    const found = judged({
      ...needs(use('pandas'), use('matplotlib', { use: 'main' })),
      ...asksFor({ GPU: 1 }),
      ...api('http://10.0.0.1:4200/api', null, null),
      ...scheduler({ clients: { 'Client-1': 0, 'Client-2': 4 } }),
    });
    assert.deepEqual(found.map(text), [
      'error: No worker offers GPU=1: tasks that ask for it wait for ever',
      'good: The versions fit: Python 3.11.7, distributed 2026.8.0',
      'good: The Prefect API at http://10.0.0.1:4200/api is reached by both workers',
      'good: All 4 threads are free, 2 other clients connected',
    ]);
    const modules = judged(needs(use('pandas'), use('matplotlib', { use: 'main' })));
    assert.ok(modules.map(text).includes('good: All that tasks import is there: pandas'));
  });

  it('has a next step for each problem', () => {
    const label = (finding: Finding) =>
      (finding.actions ?? []).map((action) => (action.kind === 'copy' ? action.text : action.kind));
    const first = (facts: Partial<PreflightFacts>) => label(judged(facts)[0] as Finding);
    assert.deepEqual(first({ workers: one({ python: '3.10.1' }) }), ['select-interpreter']);
    assert.deepEqual(first(oldCluster('2024.8.2')), [
      '"/env/bin/python" -m pip install "distributed==2024.8.2" "dask==2024.8.2"',
      'select-interpreter',
    ]);
    const lacking = { ...needs(use('pandas')), distributions: { pandas: 'pandas==2.2.3' } };
    const there = { missing: ['pandas'], executable: '/there/python' };
    assert.deepEqual(first({ ...lacking, workers: one(there) }), [
      'open-file',
      '"/there/python" -m pip install "pandas==2.2.3"',
    ]);
    const mixed = [worker('a', there), worker('b', { ...there, executable: '/other/python' })];
    assert.deepEqual(first({ ...lacking, workers: mixed }), [
      'open-file',
      '"python" -m pip install "pandas==2.2.3"',
    ]);
    assert.deepEqual(first(api('http://localhost:4200/api', 'connection refused')), [
      'prefect config set PREFECT_API_URL=http://10.0.0.1:4200/api',
    ]);
    assert.deepEqual(first(asksFor({ GPU: 1 })), ['open-file', `dask worker ${address} --resources "GPU=1"`]);
  });

  it('explains why a loopback address is no address for workers elsewhere', () => {
    const hint = judged(api('http://127.0.0.1:4200/api', 'connection refused'))[0]?.hint;
    assert.match(hint ?? '', /loopback address, by which each machine means itself/);
    const [remote] = judged(api('http://10.0.0.9:4200/api', 'connection refused'));
    assert.doesNotMatch(remote?.hint ?? '', /loopback/);
    const tunnel = judged({ ...api(null, 'no answer'), ours: { ...env, host: '127.0.0.1' } })[0];
    assert.match(
      tunnel?.hint ?? '',
      /in their network .*http:\/\/<its machine>:4200/,
      'there need be no way back',
    );
  });

  it('names a few of many workers', () => {
    const workers = Array.from({ length: 40 }, (_, i) =>
      worker(`w${i}`, { missing: i < 20 ? ['pandas'] : [] }),
    );
    assert.equal(
      judged({ ...needs(use('pandas')), workers })[0]?.message,
      'pandas is missing on 20 of 40 workers (w0, w1, w2 and 17 more)',
    );
  });

  it('goes by the watch of a cluster whose workers cannot differ', () => {
    assert.deepEqual(judgeLoad(loadOf(infoOf(aWorker(0), aWorker(1)))).map(text), [
      'good: 2 of 4 threads are free',
    ]);
    const busy = [aWorker(0, { processing: 9 }), aWorker(1, { status: 'paused' })];
    assert.deepEqual(judgeLoad(loadOf(infoOf(...busy))).map(text), [
      'warning: Paused for want of memory: 1 of 2 workers (1)',
      'warning: Both threads are busy: the run waits for its turn (10 tasks assigned)',
    ]);
  });
});
