import assert from 'node:assert/strict';
import type { ClusterMaker } from '../../../src/core/written.ts';
import { FlowDocument } from '../../../src/flows/document.ts';
import type { PythonParser } from '../../../src/flows/parser.ts';
import { testParser } from './python.ts';

describe('what makes clusters in a file', () => {
  let parser: PythonParser;
  before(async () => {
    parser = await testParser();
  });
  const found = (text: string) => new FlowDocument(parser, 'clusters.py').clusterMakers(text);
  const lines = (text: string) => found(text).map(({ name, line }: ClusterMaker) => `${line} ${name}`);

  it('is a function that returns one, however it says so', () => {
    const text = `from dask.distributed import LocalCluster
import dask_jobqueue as jobs
from mine import Special

def direct(n=2):
    if n:
        return LocalCluster(n_workers=n)
    return jobs.SLURMCluster()

async def later():
    return await LocalCluster(asynchronous=True)

def by_name():
    cluster = LocalCluster()
    cluster.adapt(maximum=3)
    return cluster

def through(**kwargs):
    return direct(**kwargs)

def annotated(image, cores: int) -> "mine.SpecialCluster":
    return Special(image, cores)
`;
    assert.deepEqual(lines(text), ['4 direct', '9 later', '12 by_name', '17 through', '20 annotated']);
    assert.deepEqual(found(text).at(-1)?.needs, ['image', 'cores']);
  });

  it('is no other function', () => {
    const text = `import contextlib
import pytest
from distributed import Client, LocalCluster
from mine import make_anything, Cluster

def client():
    return Client(LocalCluster())

@pytest.fixture
def fixture():
    return LocalCluster()

@contextlib.contextmanager
def managed():
    with LocalCluster() as cluster:
        yield cluster

def outer():
    def inner():
        return LocalCluster()
    return inner

class Holder:
    def make(self):
        return LocalCluster()

def nothing():
    LocalCluster()

def unknown():
    return make_anything()

def LocalClusterName():
    return "LocalCluster"
`;
    assert.deepEqual(lines(text), []);
    assert.deepEqual(lines('def make():\n    return 1\n'), []);
  });

  it('is what the file gives to Prefect, with the arguments that it gives', () => {
    const text = `import prefect
from prefect import Flow
from prefect.executors import DaskExecutor
import factories

class Mine(factories.Base):
    pass

def make(n_workers, image):
    return factories.build(n_workers, image)

with Flow("a") as flow:
    pass
flow.executor = DaskExecutor(
    cluster_class=make, cluster_kwargs={"n_workers": 4}, adapt_kwargs={"maximum": 8}
)
with Flow("b") as other:
    pass
other.executor = DaskExecutor(cluster_class=Mine)
`;
    assert.deepEqual(lines(text), ['5 Mine', '8 make']);
    const { written } = found(text)[1] as ClusterMaker;
    assert.deepEqual(written.cluster_class, { local: 'make' });
    assert.deepEqual(written.cluster_kwargs?.fields, { n_workers: { value: 4 } });
    assert.deepEqual(written.adapt_kwargs?.fields, { maximum: { value: 8 } });
  });

  it('is no flow', () => {
    const text = `from prefect import flow
from distributed import LocalCluster

@flow
def etl() -> LocalCluster:
    return LocalCluster()
`;
    assert.deepEqual(lines(text), []);
  });

  it('stays while somebody types in it, and above it', () => {
    const text = `from distributed import LocalCluster

def make(n=1):
    return LocalCluster(n_workers=n)
`;
    const document = new FlowDocument(parser, 'clusters.py');
    let now = text;
    const edit = (from: string, to: string) => {
      const start = now.indexOf(from);
      const before = now;
      now = now.slice(0, start) + to + now.slice(start + from.length);
      document.edit({ start, end: start + from.length, text: to }, before);
      return document.clusterMakers(now).map(({ name, line }) => `${line} ${name}`);
    };
    assert.deepEqual(
      document.clusterMakers(now).map(({ name }) => name),
      ['make'],
    );
    assert.deepEqual(edit('(n_workers=n)', '(n_workers='), ['2 make']);
    assert.deepEqual(edit('(n_workers=', '(n_workers=2)'), ['2 make']);
    assert.deepEqual(edit('\n\ndef', '\n\n"""About\n\ndef'), ['4 make']);
    assert.deepEqual(edit('About', 'About"""'), ['4 make']);
    assert.deepEqual(edit('return LocalCluster(n_workers=2)', 'pass'), []);
  });
});
