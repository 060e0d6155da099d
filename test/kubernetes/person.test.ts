import { ExecutorPanelPage } from '../support/executorPanel.ts';
import {
  kubernetesExecutor,
  testKubernetes,
  testNamespace,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';
import { PersonBed } from '../support/person.ts';

describe('a person with an executor on Kubernetes', function () {
  this.timeout(120_000);
  let namespace: string;
  let remove: () => Promise<void>;
  let bed: PersonBed;

  before(async function () {
    this.timeout(300_000);
    ({ namespace, remove } = await testNamespace('person'));
    const options = { kubeconfig: testKubernetes().kubeconfig, n_workers: 1 };
    bed = await PersonBed.start({
      'flowClusters.executors': [
        await kubernetesExecutor('prefect3', namespace, options),
        await kubernetesExecutor('prefect3', 'not-there', { ...options, name: 'nowhere' }),
      ],
      'flowClusters.defaultExecutor': 'pods',
    });
  });
  after(async () => {
    await bed?.close();
    await remove?.();
  });

  it('runs a flow by one click on its lens, and nothing is left of it', async () => {
    const workbench = await bed.open({ file: 'etl.py' });
    await workbench.widenSidebar(420);
    try {
      await workbench.lens('Run with pods').first().click();
      await workbench.row('Clusters', /^pods for etl.*running · 1 worker/).waitFor({ timeout: 60_000 });
      await workbench.row('Runs', /^transform, [1-9]\d*\/18/).waitFor({ timeout: 60_000 });
      await workbench.screenshot('run on Kubernetes');
      await workbench.row('Runs', /^etl.*completed/).waitFor({ timeout: 60_000 });
      await workbench.row('Clusters', /^pods/).waitFor({ state: 'detached' });
      await untilNothingIsLeft(namespace);
    } catch (error) {
      await workbench.screenshot('failed run on Kubernetes');
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
      await workbench.lens('Run with pods').first().waitFor();
      const {
        image,
        kubeconfig = '',
        context = '',
      } = await kubernetesExecutor('prefect3', namespace, {
        kubeconfig: testKubernetes().kubeconfig,
      });
      const panel = await ExecutorPanelPage.open(workbench);
      await panel.make('kubernetes', {
        ...{ name: 'flock', image, kubeconfig, context, namespace: 'not-there' },
        ...{ n_workers: '1', threads_per_worker: '1' },
      });
      await panel.check('There is no namespace "not-there"');
      await workbench.screenshot('panel for Kubernetes');
      await panel.fill('namespace', namespace);
      await panel.checked.first().waitFor({ state: 'hidden' });
      await panel.check('The API server of');
      await panel.tab('YAML').click();
      await panel.showsCode('kind: Deployment');
      await panel.tab('Dask').click();
      await panel.showsCode('from dask_kubernetes.operator import KubeCluster');
      await panel.button('Run Flow').click();
      await workbench.row('Clusters', /^flock for etl.*running · 1 worker/).waitFor({ timeout: 120_000 });
      await workbench.row('Runs', /^etl.*completed.*flock/).waitFor({ timeout: 120_000 });
      await workbench.row('Clusters', /^flock/).waitFor({ state: 'detached', timeout: 60_000 });
      await untilNothingIsLeft(namespace);
    } catch (error) {
      await workbench.screenshot('failed panel for Kubernetes');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });

  it('checks it before it is used, and has a pod described', async () => {
    const workbench = await bed.open({ file: 'etl.py' });
    const { page } = workbench;
    const title = (text: string) => page.locator('.quick-input-title').filter({ hasText: text });
    await workbench.widenSidebar(420);
    try {
      await workbench.runCommand('Flow Clusters: Check Kubernetes…');
      await workbench.pick('nowhere');
      await title('nowhere: 1 problem').waitFor({ timeout: 30_000 });
      await page.keyboard.press('Enter');
      const dialog = page.locator('.monaco-dialog-box');
      await dialog.filter({ hasText: 'There is no namespace "not-there"' }).waitFor();
      await dialog.getByRole('button', { name: 'Copy Command' }).waitFor();
      await workbench.screenshot('check of Kubernetes');
      await page.keyboard.press('Escape');
      await page.keyboard.press('Escape');

      await workbench.runCommand('Flow Clusters: Check Kubernetes…');
      await workbench.pick('pods');
      await title('pods: all is well').waitFor({ timeout: 30_000 });
      await page.keyboard.press('Escape');

      await workbench.runCommand('Flow Clusters: Start Cluster');
      await workbench.pick('pods');
      await workbench.row('Clusters', /^pods.*running · 1 worker/).waitFor({ timeout: 60_000 });
      await workbench.runCommand('Flow Clusters: Describe Pod');
      await workbench.pick('worker 0');
      await page.locator('.view-line').filter({ hasText: '# Events' }).waitFor({ timeout: 30_000 });
      await workbench.screenshot('pod described');
      await workbench.runCommand('Flow Clusters: Stop Cluster');
      await workbench.row('Clusters', /^pods/).waitFor({ state: 'detached', timeout: 60_000 });
    } catch (error) {
      await workbench.screenshot('failed check of Kubernetes');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });
});
