import assert from 'node:assert/strict';
import { CoreV1Api } from '@kubernetes/client-node';
import { helmRelease } from '../support/daskOnKubernetes.ts';
import { testCluster, testNamespace } from '../support/kubernetes.ts';
import { PersonBed } from '../support/person.ts';

describe('a person who asks for clusters on Kubernetes', function () {
  this.timeout(120_000);
  let bed: PersonBed;
  let namespace: string;
  let remove: () => Promise<void>;

  before(async function () {
    this.timeout(300_000);
    ({ namespace, remove } = await testNamespace('asked', {}));
    bed = await PersonBed.start({ 'flowClusters.discover': true });
  });
  after(async () => {
    await bed?.close();
    await remove?.();
  });

  it('is shown them, attaches with one click, and lets go without harm', async () => {
    const pods = async () => {
      const { items } = await testCluster().makeApiClient(CoreV1Api).listNamespacedPod({ namespace });
      return items.map(({ metadata }) => metadata?.uid);
    };
    const workbench = await bed.open();
    try {
      await workbench.widenSidebar(600);
      await workbench.runCommand('Flow Clusters: Discover on Kubernetes…');
      const contexts = workbench.page.locator('.quick-input-list .monaco-list-row');
      await contexts.filter({ hasText: 'current' }).waitFor();
      await workbench.screenshot('contexts to look into');
      await workbench.page.keyboard.press('Enter');

      await helmRelease('prod', namespace);
      const found = workbench.row(
        'Clusters',
        new RegExp(`^prod.*running · discovered · Helm chart · ${namespace}/prod`),
      );
      await found.waitFor({ timeout: 30_000 });
      await workbench.screenshot('discovered on Kubernetes');
      const there = await pods();
      await workbench.press(found, 'Attach to Scheduler');
      const attached = workbench.row('Clusters', /^prod.*running · 0 workers.*attached · Helm chart/);
      await attached.waitFor();
      await workbench.press(attached, 'Detach');
      await found.waitFor();
      assert.deepEqual(await pods(), there);
    } catch (error) {
      await workbench.screenshot('failed discovery on Kubernetes');
      console.log((await bed.logs()).slice(-3000));
      throw error;
    } finally {
      await workbench.close();
    }
  });
});
