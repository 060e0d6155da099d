import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { FlowDocument, type TextEdit } from '../../../src/flows/document.ts';
import { findMistakes } from '../../../src/flows/mistakes/find.ts';
import type { Mistake } from '../../../src/flows/mistakes/mistake.ts';
import type { PythonParser } from '../../../src/flows/parser.ts';
import { testParser } from './python.ts';

const FIXTURES = join(__dirname, '../../fixtures/flows');
const DOCS = join(__dirname, '../../../docs/diagnostics.md');

let parser: PythonParser;
before(async () => {
  parser = await testParser();
});

function mistakesIn(text: string): Mistake[] {
  const analysis = new FlowDocument(parser, 'etl.py').analysis(text);
  return analysis ? findMistakes(analysis) : [];
}

/** `code: marked text`, one for each mistake. */
function said(text: string): string[] {
  return mistakesIn(text).map(({ code, start, end }) => `${code}: ${text.slice(start, end)}`);
}

function applied(text: string, edits: readonly TextEdit[]): string {
  const sorted = [...edits].sort((a, b) => b.start - a.start);
  return sorted.reduce(
    (result, edit) => result.slice(0, edit.start) + edit.text + result.slice(edit.end),
    text,
  );
}

/** The text after the fix of this title (or the only one), which must leave nothing to say and be valid Python. */
function fixed(text: string, title?: string): string {
  const fixes = mistakesIn(text).flatMap((mistake) => mistake.fixes);
  const fix = fixes.find((each) => title === undefined || each.title === title);
  assert.ok(fix, `no fix ${title}, but ${fixes.map((each) => each.title)}`);
  const result = applied(text, fix.edits);
  assert.deepEqual(said(result), []);
  assert.equal(
    parser.read(result, (root) => root.hasError),
    false,
    result,
  );
  return result;
}

const RUNNER = `from prefect import flow, task
from prefect_dask import DaskTaskRunner
`;
const EXECUTOR = `import prefect
from prefect import Flow
from prefect.executors import DaskExecutor, LocalDaskExecutor
`;

/** `etl.py` with one flow of Prefect 2 or 3 and its task runner. */
function runner(args: string): string {
  return `${RUNNER}\n@flow(task_runner=DaskTaskRunner(${args}))\ndef etl():\n    pass\n`;
}

function executor(args: string): string {
  return `${EXECUTOR}\nwith Flow("etl") as flow:\n    pass\n\nflow.executor = DaskExecutor(${args})\n`;
}

describe('mistakes: an address with a cluster', () => {
  it('is said of what Prefect 2 and 3 refuse', () => {
    assert.deepEqual(said(runner('address="tcp://a:8786", cluster_kwargs={"n_workers": 2}')), [
      'address-with-cluster: cluster_kwargs={"n_workers": 2}',
    ]);
    assert.deepEqual(said(runner('address="a:8786", adapt_kwargs={"minimum": 1}')), [
      'address-with-cluster: adapt_kwargs={"minimum": 1}',
    ]);
    const [both] = mistakesIn(runner('address="a:8786", cluster_class="x.Y", cluster_kwargs={"a": 1}'));
    assert.match(both?.message ?? '', /^Prefect refuses cluster_class and cluster_kwargs together/);
  });

  it('says of Prefect 1 what is refused, and what is ignored', () => {
    const [ignored] = mistakesIn(executor('address="tcp://a:8786", adapt_kwargs={"maximum": 3}'));
    assert.match(ignored?.message ?? '', /Prefect 1 ignores adapt_kwargs silently/);
    const [refused] = mistakesIn(executor('address="tcp://a:8786", cluster_kwargs={}'));
    assert.match(refused?.message ?? '', /Prefect refuses cluster_kwargs/);
  });

  it('is mended by either', () => {
    const text = runner('address="tcp://a:8786", cluster_class="x.Y", adapt_kwargs={"minimum": 1}');
    assert.equal(
      fixed(text, 'Keep the address: remove cluster_class and adapt_kwargs'),
      runner('address="tcp://a:8786"'),
    );
    assert.equal(
      fixed(text, 'Keep cluster_class and adapt_kwargs: remove the address'),
      runner('cluster_class="x.Y", adapt_kwargs={"minimum": 1}'),
    );
    const lines = runner('\n    cluster_kwargs={"a": 1},  # small\n    address="tcp://a:8786",\n');
    assert.equal(
      fixed(lines, 'Keep the address: remove cluster_kwargs'),
      runner('\n    address="tcp://a:8786",\n'),
    );
  });

  it('names what was given by its position behind what is removed', () => {
    const text = executor('"tcp://a:8786", "x.Y", {"a": 1}, {"maximum": 3}');
    assert.equal(
      fixed(text, 'Keep cluster_class, cluster_kwargs and adapt_kwargs: remove the address'),
      executor('cluster_class="x.Y", cluster_kwargs={"a": 1}, adapt_kwargs={"maximum": 3}'),
    );
    assert.equal(
      fixed(
        executor('"tcp://a:8786", "x.Y", None, {}, {"timeout": 3}, debug=True'),
        'Keep the address: remove cluster_class',
      ),
      executor(
        '"tcp://a:8786", cluster_kwargs=None, adapt_kwargs={}, client_kwargs={"timeout": 3}, debug=True',
      ),
    );
  });

  it('is not said where it may be right', () => {
    for (const args of [
      'address=None, cluster_kwargs={"n_workers": 2}',
      'address="", cluster_kwargs={"n_workers": 2}',
      'address="tcp://a:8786", cluster_kwargs=None',
      'address="tcp://a:8786", cluster_kwargs={}',
      'address="tcp://a:8786", client_kwargs={"timeout": 3}',
      'address=ADDRESS, cluster_kwargs={"n_workers": 2}',
      'address="tcp://a:8786", cluster_class=choose()',
      'address="tcp://a:8786", cluster_kwargs=settings()',
      '**kwargs',
    ])
      assert.deepEqual(said(runner(args)), [], args);
    assert.deepEqual(said(executor('adapt_kwargs={"minimum": 1}')), []);
  });
});

describe('mistakes: a dashboard as address', () => {
  it('is said of port 8787 and of HTTP', () => {
    assert.deepEqual(said(runner('address="tcp://10.0.0.1:8787"')), [
      'dashboard-address: address="tcp://10.0.0.1:8787"',
    ]);
    assert.deepEqual(said(runner('address="http://dask:9000/status"')), [
      'dashboard-address: address="http://dask:9000/status"',
    ]);
    const client = 'from dask.distributed import Client\nclient = Client("localhost:8787")\n';
    assert.deepEqual(said(client), ['dashboard-address: "localhost:8787"']);
  });

  it('is mended where the text stands', () => {
    assert.equal(fixed(runner("address='http://dask:8787/status'")), runner("address='tcp://dask:8786'"));
    const named = `ADDRESS = "tls://[::1]:8787"\n${runner('address=ADDRESS')}`;
    assert.equal(fixed(named), `ADDRESS = "tls://[::1]:8786"\n${runner('address=ADDRESS')}`);
  });

  it('is not said of schedulers', () => {
    for (const address of [
      'tcp://a:8786',
      'a:18787',
      'ws://a:8787',
      'gateway://a:8787/b',
      'a',
      'inproc://x:8787',
    ])
      assert.deepEqual(said(runner(`address="${address}"`)), [], address);
    assert.deepEqual(said('from redis import Client\nClient("http://a:8787")\n'), []);
    const moved =
      'from dask.distributed import Client, LocalCluster\n\ndef f():\n    LocalCluster(scheduler_port=8787)\n    Client("localhost:8787")\n';
    assert.deepEqual(said(moved), []);
  });
});

describe('mistakes: a client without a guard', () => {
  const SCRIPT = 'from dask.distributed import Client, LocalCluster\n\n';

  it('is said where importing the file makes processes', () => {
    assert.deepEqual(said(`${SCRIPT}client = Client()\n`), ['client-without-guard: Client()']);
    assert.deepEqual(said(`${SCRIPT}with LocalCluster(n_workers=2) as cluster:\n    pass\n`), [
      'client-without-guard: LocalCluster(n_workers=2)',
    ]);
    assert.deepEqual(said(`${SCRIPT}client = Client(LocalCluster())\n`), [
      'client-without-guard: LocalCluster()',
    ]);
    assert.deepEqual(said(`${SCRIPT}if 1 > 0:\n    c = Client(processes=True)\n`), [
      'client-without-guard: Client(processes=True)',
    ]);
  });

  it('is mended by putting the rest under one', () => {
    assert.equal(
      fixed(`${SCRIPT}client = Client()\n\nprint(client.submit(sum, [1]).result())\n`),
      `${SCRIPT}if __name__ == "__main__":\n    client = Client()\n\n    print(client.submit(sum, [1]).result())\n`,
    );
    const string = `${SCRIPT}client = Client()\nquery = """\n  select 1\n"""\n`;
    assert.deepEqual(
      mistakesIn(string).flatMap(({ fixes }) => fixes),
      [],
    );
  });

  it('is mended from the first clause on, where it stands in a later one', () => {
    for (const text of [
      'if address:\n    client = Client(address)\nelse:\n    client = Client(n_workers=4)\n',
      'if a:\n    pass\nelif b:\n    client = Client()\nelse:\n    pass\n',
      'try:\n    client = Client(address)\nexcept OSError:\n    client = Client()\nprint(client)\n',
      'for a in addresses:\n    break\nelse: client = Client()\n',
    ])
      assert.equal(
        fixed(`${SCRIPT}x = 1\n${text}`),
        `${SCRIPT}x = 1\nif __name__ == "__main__":\n${text.replace(/^(?=.)/gm, '    ')}`,
      );
    assert.deepEqual(
      mistakesIn(`${SCRIPT}else:\n    client = Client()\n`).flatMap(({ fixes }) => fixes),
      [],
    );
  });

  it('is not said where nothing is started, or not on import', () => {
    for (const text of [
      'if __name__ == "__main__":\n    client = Client()\n',
      "if 'x' and __name__ == '__main__':\n    client = Client()\n",
      'def main():\n    client = Client()\n\nmain()\n',
      'class Job:\n    def run(self):\n        return Client()\n',
      'if __name__ != "__main__":\n    pass\nelse:\n    client = Client()\n',
      'client = Client("tcp://a:8786")\n',
      'client = Client(address)\n',
      'client = Client(processes=False)\n',
      'client = Client(processes=flag)\n',
      'client = Client(**options)\n',
      'client = Client(scheduler_file="x.json")\n',
      'cluster = LocalCluster(n_workers=0)\n',
      'import dask\ndask.config.set({"scheduler-address": "a:8786"})\nclient = Client()\n',
      'import flask\nclient = Client()\n',
      'import dask_mpi\ndask_mpi.initialize()\nclient = Client()\n',
      '# %%\nclient = Client()\n',
    ])
      assert.deepEqual(said(SCRIPT + text), [], text);
    assert.deepEqual(said('from dask_jobqueue import SLURMCluster\ncluster = SLURMCluster(cores=1)\n'), []);
  });
});

describe('mistakes: with_options that is not used', () => {
  const FLOW = `${RUNNER}\n@flow\ndef etl():\n    pass\n\n`;

  it('is said of flows and tasks of the file, and mended by keeping the result', () => {
    const text = `${FLOW}etl.with_options(task_runner=DaskTaskRunner())\netl()\n`;
    assert.deepEqual(said(text), ['with-options-unused: etl.with_options']);
    assert.equal(fixed(text), `${FLOW}etl = etl.with_options(task_runner=DaskTaskRunner())\netl()\n`);
    const plain = 'from prefect import task\n\n@task\ndef t():\n    pass\n\nt.with_options(retries=3)\n';
    assert.deepEqual(said(plain), ['with-options-unused: t.with_options']);
  });

  it('gets no fix in a function, where the name would become local', () => {
    const text = `${FLOW}def main():\n    etl.with_options(name="x")\n    etl()\n`;
    assert.deepEqual(said(text), ['with-options-unused: etl.with_options']);
    assert.deepEqual(mistakesIn(text)[0]?.fixes, []);
  });

  it('is not said where it is used, or belongs to something else', () => {
    for (const text of [
      'etl.with_options(name="x")()\n',
      'fast = etl.with_options(name="x")\n',
      'print(etl.with_options(name="x"))\n',
      'etl.with_options(name="x").serve()\n',
      'client.with_options(timeout=3)\n',
      'from elsewhere import job\njob.with_options(name="x")\n',
      'def f():\n    return etl.with_options(name="x")\n',
    ])
      assert.deepEqual(said(FLOW + text), [], text);
  });
});

describe('mistakes: tasks that are not submitted', () => {
  const TASKS = `${RUNNER}
@task
def load(x=1):
    return x

def help(thing):
    return thing.submit(1)

def plain(x):
    return x

`;
  const onDask = (body: string, head = '') =>
    `${TASKS}${head}@flow(task_runner=DaskTaskRunner())\ndef etl():\n    ${body.replaceAll('\n', '\n    ')}\n`;

  it('is said once for a flow on Dask that submits nothing', () => {
    assert.deepEqual(said(onDask('a = load()\nfor i in range(3):\n    load(i)')), [
      'tasks-not-submitted: load',
    ]);
    assert.deepEqual(said(onDask('return plain(load())')), ['tasks-not-submitted: load']);
    assert.deepEqual(
      said(
        onDask(
          'log()\nload(pd.read_csv("x"))',
          'import pandas as pd\nfrom prefect import get_run_logger as log\n',
        ),
      ),
      ['tasks-not-submitted: load'],
    );
  });

  it('is mended by submitting and waiting', () => {
    assert.equal(
      fixed(onDask('return load(load(2))')),
      onDask('return load.submit(load.submit(2).result()).result()'),
    );
  });

  it('is not said where something is submitted, or may be', () => {
    for (const body of [
      'load()\nload.submit()',
      'load()\nload.map([1])',
      'load()\nhelp(load)',
      'load()\nhelp(3)',
      'load()\nplain([load])',
      'load()\ndef inner():\n    load.submit(1)\ninner()',
      'load.with_options(retries=2)()',
      'plain(1)',
      'load.fn(1)',
      'def inner():\n    load()\nreturn inner',
      'other(load)',
    ])
      assert.deepEqual(said(onDask(body)), [], body);
    assert.deepEqual(said(onDask('load()').replace('task_runner=DaskTaskRunner()', '')), []);
    assert.deepEqual(said(onDask('load()', 'from prefect_dask import get_dask_client\n')), []);
    assert.deepEqual(said(onDask('load()\nhelper(3)', 'from .steps import helper\n')), []);
    assert.deepEqual(said(onDask('load()\nsteps.run(3)', 'import steps\n')), []);
    assert.deepEqual(said(onDask('load()\nsub()', '@flow\ndef sub():\n    pass\n\n')), []);
    const worker = 'class Steps:\n    def go(self):\n        load.submit(1)\n\n';
    assert.deepEqual(said(onDask('load()\nSteps().go()', worker)), []);
    assert.deepEqual(said(onDask('load()').replace('@task', '')), []);
    const later = `${TASKS}@flow\ndef etl():\n    load()\n\netl.with_options(task_runner=DaskTaskRunner())()\n`;
    assert.deepEqual(said(later), []);
  });

  it('gets no fix in an async flow', () => {
    const text = onDask('await load()').replace('def etl', 'async def etl');
    assert.deepEqual(said(text), ['tasks-not-submitted: load']);
    assert.deepEqual(mistakesIn(text)[0]?.fixes, []);
  });
});

describe('mistakes: asynchronous', () => {
  it('is said of what Prefect sets by itself, and removed', () => {
    const text = runner('cluster_kwargs={"n_workers": 2, "asynchronous": False}');
    assert.deepEqual(said(text), ['asynchronous-set: "asynchronous": False']);
    assert.equal(fixed(text), runner('cluster_kwargs={"n_workers": 2}'));
    const client = runner('client_kwargs=dict(asynchronous=True, timeout=3)');
    assert.equal(fixed(client), runner('client_kwargs=dict(timeout=3)'));
    assert.deepEqual(said(executor('client_kwargs={"asynchronous": True}')), [
      'asynchronous-set: "asynchronous": True',
    ]);
  });

  it('is not said of what does no harm', () => {
    assert.deepEqual(said(executor('client_kwargs={"asynchronous": False}')), []);
    assert.deepEqual(
      said('from dask.distributed import Client\nasync def f():\n    Client(asynchronous=True)\n'),
      [],
    );
  });
});

describe('mistakes: a cluster object for a task runner', () => {
  it('is said of a synchronous cluster', () => {
    const text = `from dask.distributed import LocalCluster\n${RUNNER}
def main():
    cluster = LocalCluster(n_workers=2)

    @flow(task_runner=DaskTaskRunner(cluster=cluster))
    def etl():
        pass
`;
    assert.deepEqual(said(text), ['cluster-object: cluster=cluster']);
    assert.deepEqual(said(text.replace('n_workers=2', 'asynchronous=True')), []);
    assert.deepEqual(said(text.replace('cluster=cluster', 'cluster=unknown')), []);
  });
});

describe('mistakes: the image of the run, too early', () => {
  const IMPORT = `from dask_cloudprovider.aws import FargateCluster\n${EXECUTOR}\n`;
  const flowOn = (args: string) =>
    `${IMPORT}with Flow("etl") as flow:\n    pass\n\nflow.executor = DaskExecutor(${args})\n`;

  it('is said of prefect.context.image in cluster_kwargs', () => {
    const marked = 'image-too-early: prefect.context.image';
    assert.deepEqual(said(flowOn('None, FargateCluster, {"image": prefect.context.image}')), [marked]);
    assert.deepEqual(
      said(flowOn('cluster_class=FargateCluster, cluster_kwargs=dict(image=prefect.context.image)')),
      [marked],
    );
    assert.deepEqual(said(flowOn('cluster_kwargs={"image": prefect.context.get("image")}')), [
      'image-too-early: prefect.context.get("image")',
    ]);
  });

  it('is mended by a function, as in Prefect’s docs', () => {
    const text = flowOn(
      'cluster_class=FargateCluster, cluster_kwargs={"image": prefect.context.image, "n_workers": 4}',
    );
    assert.equal(
      fixed(text),
      `${IMPORT}with Flow("etl") as flow:
    pass

def make_cluster(**kwargs):
    return FargateCluster(image=prefect.context.image, **kwargs)


flow.executor = DaskExecutor(cluster_class=make_cluster, cluster_kwargs={"n_workers": 4})
`,
    );
    const byPath = executor('cluster_class="a.b.C", cluster_kwargs={"image": prefect.context.image}');
    assert.match(
      fixed(byPath),
      /def make_cluster\(\*\*kwargs\):\n {4}from a\.b import C\n\n {4}return C\(image=prefect\.context\.image, \*\*kwargs\)\n/,
    );
  });

  it('is mended before the first clause, where it stands in a later one', () => {
    const args = 'cluster_class=FargateCluster, cluster_kwargs={"image": prefect.context.image}';
    const set = (text: string) => `    flow.executor = DaskExecutor(${text})\n`;
    for (const [first, later] of [
      ['if here:\n    pass\n', 'else:\n'],
      ['try:\n    import coiled\n', 'except ImportError:\n'],
    ]) {
      const before = `${IMPORT}with Flow("etl") as flow:\n    pass\n`;
      const made = `def make_cluster(**kwargs):\n    return FargateCluster(image=prefect.context.image, **kwargs)\n\n\n`;
      const mended = fixed(`${before}${first}${later}${set(args)}`);
      assert.equal(
        mended,
        `${before}${made}${first}${later}${set('cluster_class=make_cluster, cluster_kwargs={}')}`,
      );
    }
  });

  it('is not said in a function, in a run, or of other images', () => {
    for (const text of [
      flowOn('cluster_class=lambda: FargateCluster(image=prefect.context.image)'),
      `${IMPORT}def fargate():\n    return FargateCluster(image=prefect.context.image)\n\nwith Flow("x") as flow:\n    pass\nflow.executor = DaskExecutor(cluster_class=fargate)\n`,
      `${IMPORT}with Flow("x") as flow:\n    pass\nflow.run(executor=DaskExecutor(cluster_kwargs={"image": prefect.context.image}))\n`,
      flowOn('cluster_class=FargateCluster, cluster_kwargs={"image": settings.context.image}'),
    ])
      assert.deepEqual(said(text), [], text);
  });
});

describe('mistakes: unknown arguments', () => {
  it('is said of what a class does not take', () => {
    assert.deepEqual(said(runner('workers=4')), ['unknown-argument: workers=4']);
    assert.deepEqual(said(runner('debug=True')), ['unknown-argument: debug=True']);
    assert.deepEqual(said(runner('cluster_kwargs={"debug": True}')), ['unknown-argument: "debug": True']);
    const client = 'from dask.distributed import Client\ndef f():\n    return Client(num_workers=4)\n';
    assert.deepEqual(said(client), ['unknown-argument: num_workers=4']);
    assert.deepEqual(
      said(executor('cluster_class="distributed.LocalCluster", cluster_kwargs={"workerz": 1}')),
      ['unknown-argument: "workerz": 1'],
    );
  });

  it('moves what is for the cluster, and renames what is meant', () => {
    assert.equal(
      fixed(runner('n_workers=4, client_kwargs={"timeout": 3}, threads_per_worker=2')),
      runner('cluster_kwargs={"n_workers": 4, "threads_per_worker": 2}, client_kwargs={"timeout": 3}'),
    );
    assert.equal(
      fixed(runner("cluster_kwargs={'num_workers': 4}")),
      runner("cluster_kwargs={'n_workers': 4}"),
    );
    assert.equal(
      fixed(runner('adapt_kwargs={"min": 1, "maximum": 2}')),
      runner('adapt_kwargs={"minimum": 1, "maximum": 2}'),
    );
    const local = `${EXECUTOR}\nwith Flow("x") as flow:\n    pass\nflow.run(executor=LocalDaskExecutor(n_workers=4))\n`;
    assert.equal(fixed(local), local.replace('n_workers', 'num_workers'));
  });

  it('moves nothing away that comments say', () => {
    const given = (text: string) => runner(`\n    ${text.replaceAll('\n', '\n    ')}\n`);
    const moved = (text: string, result: string) => assert.equal(fixed(given(text)), given(result));
    const both = 'cluster_kwargs={"n_workers": 4, "threads_per_worker": 2}';
    moved('n_workers=4,  # a big one\nthreads_per_worker=2,  # GIL', `${both},  # a big one\n# GIL`);
    moved('n_workers=4,  # a big one\n# the GIL\nthreads_per_worker=2', `${both},  # a big one\n# the GIL`);
    moved(
      'n_workers=4,\n# the GIL\nthreads_per_worker=2,\nclient_kwargs={"timeout": 3},',
      `${both},\n# the GIL\nclient_kwargs={"timeout": 3},`,
    );
    moved('n_workers=4, threads_per_worker=2  # both', `${both}  # both`);
    const odd = given('n_workers=4, threads_per_worker=2  # both\n, client_kwargs={}');
    assert.deepEqual(mistakesIn(odd)[0]?.fixes, []);
  });

  it('is not said of classes that may take it, or of what is given on', () => {
    for (const args of [
      'cluster_kwargs={"n_workers": 2, "resources": {"GPU": 1}, "local_directory": "/tmp", "env": {}}',
      'cluster_class="dask_jobqueue.SLURMCluster", cluster_kwargs={"debug": True}',
      'cluster_class=make, cluster_kwargs={"debug": True}',
      'cluster_class="coiled.Cluster", adapt_kwargs={"min": 1}',
      'cluster_kwargs={"worker_class": Special, "special": True}',
      'cluster_kwargs={**more, "n_workers": 2}',
      'cluster_kwargs={**more, "special": True}',
      'cluster_kwargs={"image": "x"}, **more',
      'performance_report_path="x.html"',
    ])
      assert.deepEqual(said(runner(args)), [], args);
    for (const args of ['debug=True, watch_worker_status=False', 'cluster_kwargs={"anything": 1}'])
      assert.deepEqual(said(executor(args)), [], args);
    const old = executor('local_processes=True').replace('prefect.executors', 'prefect.engine.executors');
    assert.deepEqual(said(old), []);
    assert.deepEqual(
      said(`${RUNNER}\nclass Mine(DaskTaskRunner):\n    pass\nrunner = Mine(workers=3)\n`),
      [],
    );
  });
});

describe('mistakes', () => {
  it('are no reason to remove what is handed on beside them', () => {
    const [mistake] = mistakesIn(runner('cluster_class="a.B", **more, address="tcp://a:8786"'));
    assert.deepEqual([mistake?.code, mistake?.fixes], ['address-with-cluster', []]);
  });

  it('are said once of what two executors share', () => {
    const shared = `OPTIONS = {"num_workers": 4}\n${runner('cluster_kwargs=OPTIONS')}`;
    const another = runner('cluster_kwargs=OPTIONS').replace(RUNNER, '').replace('etl', 'load');
    assert.deepEqual(said(shared + another), ['unknown-argument: "num_workers": 4']);
  });

  it('are looked for with an end, in lists of lists of lists', () => {
    const times = (name: string) => Array<string>(100).fill(name).join(', ');
    const lists = `a = [${times('"x"')}]\nb = [${times('a')}]\nc = [${times('b')}]\nd = [${times('c')}]\n`;
    const text = `${lists}e = [${times('e')}]\n${runner('cluster_kwargs={"n_workers": d, "env": e}')}`;
    assert.deepEqual(said(text), []);
    assert.equal(new FlowDocument(parser, 'etl.py').executors(text).length, 1);
  });

  it('are not said of what is being typed', () => {
    assert.deepEqual(said(runner('address="tcp://a:8787"').replace('))', ')')), []);
    assert.deepEqual(said(runner('address="tcp://a:8787')), []);
  });

  it('are not found in files that are right', () => {
    const alarms = ['corpus', 'executors'].flatMap((folder) =>
      readdirSync(join(FIXTURES, folder)).flatMap((file) =>
        said(readFileSync(join(FIXTURES, folder, file), 'utf8')).map((each) => `${file}: ${each}`),
      ),
    );
    assert.deepEqual(alarms, [
      'dask_client_script.py: client-without-guard: Client(n_workers=2)',
      'mixed_prefect_and_dask.py: client-without-guard: Client()',
    ]);
  });

  it('are found in whatever text there is, at places in it, and mended within it', () => {
    const texts = ['executors', 'corpus'].flatMap((folder) =>
      readdirSync(join(FIXTURES, folder)).map((file) => readFileSync(join(FIXTURES, folder, file), 'utf8')),
    );
    const wrong = runner('address="http://a:8787", cluster_kwargs={"debug": 1, **{"a": 2}}, workers=2');
    const pieces = [
      '(',
      ')',
      '"',
      '"""',
      '{',
      '\n',
      ':',
      ' = ',
      ',',
      '**x',
      'with_options()',
      '\n  ',
      'Client()',
      '@',
    ];
    const edit = fc.tuple(fc.nat(), fc.nat(30), fc.constantFrom(...pieces));
    fc.assert(
      fc.property(
        fc.constantFrom(wrong, wrong, ...texts),
        fc.array(edit, { maxLength: 8 }),
        (start, edits) => {
          let text = start;
          for (const [position, length, piece] of edits) {
            const at = position % (text.length + 1);
            text = text.slice(0, at) + piece + text.slice(at + (length < 20 ? 0 : length));
          }
          for (const mistake of mistakesIn(text)) {
            assert.ok(0 <= mistake.start && mistake.start < mistake.end && mistake.end <= text.length, text);
            for (const { edits: mended } of mistake.fixes) {
              const sorted = [...mended].sort((a, b) => a.start - b.start);
              for (const [i, each] of sorted.entries())
                assert.ok(each.start >= (sorted[i - 1]?.end ?? 0) && each.end <= text.length, text);
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it('are all in the docs', () => {
    const source = readFileSync(join(__dirname, '../../../src/flows/mistakes/mistake.ts'), 'utf8');
    const codes = [...source.matchAll(/^ {2}\| '([\w-]+)'/gm)].map(([, code]) => code);
    const headings = [...readFileSync(DOCS, 'utf8').matchAll(/^## ([\w-]+)$/gm)].map(([, code]) => code);
    assert.deepEqual(headings, codes);
  });
});
