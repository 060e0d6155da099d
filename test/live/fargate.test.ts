import assert from 'node:assert/strict';
import { AwsBed } from '../support/awsBed.ts';
import { plain, until, useClasses } from '../support/classBench.ts';

describe('clusters on AWS Fargate, up to its API', function () {
  this.timeout(240_000);
  let bed: AwsBed;

  before(async function () {
    this.timeout(600_000);
    bed = await AwsBed.start();
  });

  after(() => bed?.dispose());

  const used = useClasses('clouds', () => bed.env);
  const image = 'ghcr.io/acme/flows:1.4';

  it('have the image that the run is in, and nothing of them stays when they are given up', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is written so in settings
    const cluster_kwargs = { image: '${runImage}', n_workers: 1, fargate_use_private_ip: true };
    const executor = used.executor('dask_cloudprovider.aws.FargateCluster', { cluster_kwargs });
    const id = await used.begin(executor, plain, { PREFECT__CONTEXT__IMAGE: image });
    const tasks = async () => {
      const { clusterArns = [] } = await bed.ecs('ListClusters');
      const [cluster] = clusterArns as string[];
      const wanted = { cluster, desiredStatus: 'RUNNING' };
      return cluster === undefined ? [] : ((await bed.ecs('ListTasks', wanted)).taskArns as string[]);
    };
    await until(async () => (await tasks()).length > 0, 'a task of ECS');
    const { taskDefinitionArns } = await bed.ecs('ListTaskDefinitions');
    for (const taskDefinition of taskDefinitionArns as string[]) {
      const described = await bed.ecs('DescribeTaskDefinition', { taskDefinition });
      assert.match(JSON.stringify(described), new RegExp(`"image":\\s?"${image}"`));
    }
    assert.equal((taskDefinitionArns as string[]).length, 2, 'of the scheduler and of workers');
    await used.bench.runs.cancel(id);
    assert.equal(used.bench.run(id).state.kind, 'cancelled');
    await used.nothingIsLeft();
    assert.deepEqual(await tasks(), []);
    assert.deepEqual((await bed.ecs('ListTaskDefinitions')).taskDefinitionArns, []);
    const { clusterArns } = await bed.ecs('ListClusters');
    const { clusters } = await bed.ecs('DescribeClusters', { clusters: clusterArns });
    assert.deepEqual(
      (clusters as { status: string }[]).map(({ status }) => status),
      ['INACTIVE'],
    );
    assert.deepEqual(await bed.roles(), []);
  });
});
