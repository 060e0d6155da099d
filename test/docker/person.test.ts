import assert from 'node:assert/strict';
import { dockerExecutor, testEngine } from '../support/docker.ts';
import { ExecutorPanelPage } from '../support/executorPanel.ts';
import { PersonBed } from '../support/person.ts';

describe('a person with an executor in Docker', function () {
  this.timeout(120_000);
  let bed: PersonBed;

  before(async function () {
    this.timeout(300_000);
    const executor = await dockerExecutor('prefect3');
    bed = await PersonBed.start({
      'flowClusters.executors': [executor],
      'flowClusters.defaultExecutor': executor.name,
    });
  });
  after(() => bed.close());

  it('runs a flow by one click on its lens, and nothing is left of it', async () => {
    const workbench = await bed.open({ file: 'etl.py' });
    await workbench.widenSidebar(420);
    try {
      await workbench.lens('Run with docker').first().click();
      await workbench.row('Clusters', /^docker for etl.*running · 2 workers/).waitFor({ timeout: 60_000 });
      await workbench.row('Runs', /^transform, [1-9]\d*\/18/).waitFor({ timeout: 60_000 });
      await workbench.screenshot('run in Docker');
      await workbench.row('Runs', /^etl.*completed/).waitFor({ timeout: 60_000 });
      await workbench.row('Clusters', /^docker/).waitFor({ state: 'detached' });
      const filters = { label: ['flow-clusters/name=docker'] };
      assert.deepEqual(await testEngine().listContainers({ all: true, filters }), []);
    } catch (error) {
      await workbench.screenshot('failed run in Docker');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });

  it('makes one in the panel, checks it and runs a flow on it', async function () {
    this.timeout(300_000);
    const workbench = await bed.open({ file: 'etl.py' });
    await workbench.widenSidebar(420);
    try {
      await workbench.lens('Run with docker').first().waitFor();
      const { image } = await dockerExecutor('prefect3');
      const panel = await ExecutorPanelPage.open(workbench);
      await panel.make('docker', { name: 'boxes', image: 'flow-clusters-test/no:1', n_workers: '1' });
      await panel.check('The image flow-clusters-test/no:1 is not there yet: the first start pulls it');
      await panel.fill('image', image);
      await panel.checked.first().waitFor({ state: 'hidden' });
      await panel.check(`The image ${image} is there`);
      await workbench.screenshot('panel in Docker');
      await panel.button('Run Flow').click();
      await workbench.row('Clusters', /^boxes for etl.*running · 1 worker/).waitFor({ timeout: 120_000 });
      await workbench.row('Runs', /^etl.*completed.*boxes/).waitFor({ timeout: 120_000 });
      await workbench.row('Clusters', /^boxes/).waitFor({ state: 'detached', timeout: 60_000 });
      const filters = { label: ['flow-clusters/name=boxes'] };
      assert.deepEqual(await testEngine().listContainers({ all: true, filters }), []);
    } catch (error) {
      await workbench.screenshot('failed panel in Docker');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });

  it('is shown the Dockerfile of a worker image before it is built, and why it could not be', async () => {
    const workbench = await bed.open({ file: 'etl.py' });
    try {
      await workbench.runCommand('Flow Clusters: Build Worker Image…');
      await workbench.asked('An image with Python').waitFor({ timeout: 30_000 });
      await workbench.answer('flow-clusters-test/no:1');
      const lines = workbench.page.locator('.view-line');
      await lines.filter({ hasText: 'flow-clusters-test/no:1' }).waitFor({ timeout: 30_000 });
      const question = await workbench.notification('Build the worker image by this Dockerfile?');
      await workbench.screenshot('Dockerfile of a worker image');
      await question.getByRole('button', { name: 'Build' }).click();
      await workbench.notification("The base image can't be pulled");
    } catch (error) {
      await workbench.screenshot('failed worker image');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });
});
