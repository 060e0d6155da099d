import { deployedObjects } from '../support/deployments.ts';
import { kubernetesExecutor, testKubernetes, testNamespace, until } from '../support/kubernetes.ts';
import { PersonBed } from '../support/person.ts';

describe('a person who deploys a cluster on Kubernetes', function () {
  this.timeout(600_000);
  let namespace: string;
  let remove: () => Promise<void>;
  let bed: PersonBed;

  before(async function () {
    this.timeout(300_000);
    ({ namespace, remove } = await testNamespace('deployer'));
    const options = { kubeconfig: testKubernetes().kubeconfig, n_workers: 1 };
    bed = await PersonBed.start({
      'flowClusters.executors': [
        await kubernetesExecutor('prefect3', namespace, options),
        await kubernetesExecutor('prefect3', namespace, { ...options, name: 'bigger', n_workers: 2 }),
        await kubernetesExecutor('prefect3', namespace, {
          ...{ ...options, name: 'stuck', pod_template: { spec: { nodeSelector: { disk: 'golden' } } } },
        }),
      ],
    });
  });
  after(async () => {
    await bed?.close();
    await remove?.();
  });

  it('clicks Deploy, Use for Runs, Run, Deploy again with a diff, and Delete', async () => {
    const workbench = await bed.open({ file: 'plain_dask.py' });
    const { page } = workbench;
    const dialog = page.locator('.monaco-dialog-box');
    await workbench.widenSidebar(480);
    const asks = (title: string) => page.locator('.quick-input-title').filter({ hasText: title });
    const difference = page.getByRole('tab', { name: 'team: now ↔ then' });
    const askToDeploy = async (executor: string, name = 'team') => {
      await workbench.runCommand('Flow Clusters: Deploy Static Cluster on Kubernetes…');
      // Else the click may be for a row of the palette.
      await asks('Deploy a cluster by which executor?').waitFor();
      await workbench.pick(executor);
      await workbench.asked('What Kubernetes calls its objects after').waitFor();
      await workbench.answer(name);
      await asks('What else shall it have?').waitFor({ timeout: 30_000 });
      await workbench.screenshot('options of a deployed cluster');
      await page.keyboard.press('Enter');
    };
    try {
      await askToDeploy('pods');
      await dialog.filter({ hasText: 'Deployment team-scheduler' }).waitFor({ timeout: 30_000 });
      await workbench.screenshot('what is deployed');
      await dialog.getByRole('button', { name: 'Deploy' }).click();
      const row = workbench.row('Clusters', /^team.*running · 1 worker.*attached · deployed/);
      await row.waitFor({ timeout: 240_000 });
      const offer = await workbench.notification('Attached to team');
      await workbench.screenshot('deployed and attached');
      await offer.getByRole('button', { name: 'Use for Runs' }).click();
      await workbench.lens('Run with team (attached)').first().click();
      await workbench.row('Runs', /^plain_dask.*completed/).waitFor({ timeout: 120_000 });

      await askToDeploy('pods');
      const status = page.locator('.statusbar-item');
      await status.filter({ hasText: 'nothing to change' }).waitFor({ timeout: 30_000 });
      await askToDeploy('bigger');
      await difference.waitFor({ timeout: 30_000 });
      const update = await workbench.notification('Update team');
      await workbench.screenshot('update of a deployed cluster');
      await update.getByRole('button', { name: 'Update' }).click();
      await workbench.row('Clusters', /^team.*running · 2 workers/).waitFor({ timeout: 120_000 });

      await workbench.runCommand('View: Close Editor');
      await difference.waitFor({ state: 'detached' });
      await askToDeploy('pods');
      await difference.waitFor({ timeout: 30_000 });
      const fewer = await workbench.notification('1 worker ends at once. What runs there');
      await workbench.screenshot('update that ends workers');
      await fewer.getByRole('button', { name: 'Cancel' }).click();

      await askToDeploy('stuck', ' stopped ');
      await dialog.filter({ hasText: 'Deployment stopped-scheduler' }).waitFor({ timeout: 30_000 });
      await dialog.getByRole('button', { name: 'Deploy' }).click();
      const starting = await workbench.notification(/Deploy stopped.*no node takes it/);
      await starting.hover();
      await starting.getByRole('button', { name: 'Cancel' }).click();
      await workbench.notification(/Deploy stopped \(cancelled\).*removing what was made/);
      await workbench.screenshot('deployment that is taken back');
      await until(async () => !(await deployedObjects(namespace)).some((one) => one.includes('stopped')));

      await workbench.runCommand('Flow Clusters: Export for Kubernetes…');
      await workbench.pick('pods');
      await workbench.asked('What Kubernetes calls its objects after').waitFor();
      await workbench.answer('team');
      await workbench.pick('DaskCluster');
      await page.locator('.view-line').filter({ hasText: 'Not carried over' }).waitFor({ timeout: 30_000 });
      await workbench.screenshot('exported cluster');

      await workbench.runCommand('Flow Clusters: Delete Static Cluster from Kubernetes…');
      await workbench.pick('pods');
      await workbench.pick('team');
      await dialog.filter({ hasText: 'Secret team-tls' }).waitFor({ timeout: 30_000 });
      await workbench.screenshot('what is deleted');
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await workbench.row('Clusters', /^team/).waitFor({ state: 'detached', timeout: 60_000 });
      await until(async () => (await deployedObjects(namespace)).length === 0);
    } catch (error) {
      await workbench.screenshot('failed deployment');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });
});
