import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import axe from 'axe-core';
import { copySamples } from '../../scripts/lib/testBed.mjs';
import { ExecutorPanelPage } from '../support/executorPanel.ts';
import { pythonOf } from '../support/hostLive.ts';
import { bed, openWindow } from '../support/personSuite.ts';
import { startBed } from '../support/schedulerBed.ts';
import type { Workbench } from '../support/workbench.ts';

/** A copy of the samples with settings of its own. */
async function folderWith(name: string, settings: string): Promise<string> {
  const folder = await copySamples(join(dirname((await bed()).workspace), name));
  await mkdir(join(folder, '.vscode'));
  await writeFile(join(folder, '.vscode', 'settings.json'), settings);
  return folder;
}

/** The folder's settings, as soon as they are as they should be. */
async function settingsOf(workbench: Workbench, folder: string, wanted: RegExp): Promise<string> {
  const until = Date.now() + 20_000;
  for (;;) {
    const text = await readFile(join(folder, '.vscode', 'settings.json'), 'utf8');
    if (wanted.test(text)) return text;
    assert.ok(Date.now() < until, `${wanted} does not come into\n${text}`);
    await workbench.page.waitForTimeout(200);
  }
}

const laptop = `{
  // of the team
  "flowClusters.executors": [
    // on the laptop
    { "name": "laptop", "kind": "local", "n_workers": 1 /* enough */ }
  ],
  "flowClusters.defaultExecutor": "laptop"
}
`;

const ownRunner = `from prefect import flow, task
from prefect_dask import DaskTaskRunner


@task
def double(n: int) -> int:
    return 2 * n


@flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 2, "silence_logs": 40}))
def summing() -> int:
    return sum(double.map([1, 2, 3]).result())
`;

const ownClusters = `from datetime import timedelta

from distributed import LocalCluster


def make_cluster(workers: int, label: str | None = None, lifetime: timedelta | None = None):
    """A cluster of our own."""
    assert label == "7" and lifetime == timedelta(hours=1)
    return LocalCluster(n_workers=workers, threads_per_worker=1)
`;

describe('the panel of executors', function () {
  this.timeout(180_000);

  it('changes an executor, says at the field what is wrong, saves it, and a flow runs on it', async () => {
    const folder = await folderWith('panel-local', laptop);
    const workbench = await openWindow({ folder, file: 'plain_dask.py' });
    await workbench.lens('Run with laptop').first().waitFor();
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.shows('laptop');
    assert.equal(await panel.kind('local').isChecked(), true);

    await panel.fill('n_workers', 'two');
    const problem = panel.problem('n_workers');
    await problem.filter({ hasText: 'n_workers must be a whole number from 1 to 4096' }).waitFor();
    assert.equal(await panel.input('n_workers').getAttribute('aria-invalid'), 'true');
    assert.equal(await panel.button('Run Flow').isEnabled(), false);
    await workbench.screenshot('panel problem');
    await panel.button('Save').click();
    await panel.hasFocus('n_workers');
    assert.equal(await settingsOf(workbench, folder, /./), laptop);

    await panel.fill('n_workers', '2');
    await panel.fill('name', 'mine');
    await panel.showsCode('cluster_kwargs={"n_workers": 2}');
    await panel.tab('Dask').click();
    await panel.showsCode('LocalCluster(n_workers=2)');
    await panel.button('Save').click();
    const text = await settingsOf(workbench, folder, /"flowClusters.defaultExecutor": "mine"/);
    assert.equal(text, laptop.replaceAll('"laptop"', '"mine"').replace('1 /*', '2 /*'));
    await workbench.row('Executors', /^mine, default · local · 2 workers/).waitFor();
    await panel.status.filter({ hasText: 'In the workspace settings' }).waitFor();

    await panel.button('Run Flow').click();
    await workbench.row('Runs', /^plain_dask.*completed.*mine/).waitFor({ timeout: 90_000 });
    await panel.button('Start Cluster').click();
    await workbench.row('Clusters', /^mine.*running · 2 workers.*static/).waitFor({ timeout: 60_000 });
    await workbench.screenshot('panel cluster');
    await workbench.press(workbench.row('Clusters', /^mine.*running/), 'Stop Cluster');
    await workbench.row('Clusters', /^mine/).waitFor({ state: 'detached' });

    await panel.button('Insert').click();
    await workbench.page.getByRole('tab', { name: 'plain_dask.py', selected: true }).waitFor();
    await workbench.page.locator('.view-line').filter({ hasText: 'LocalCluster(n_workers=2)' }).waitFor();
    assert.deepEqual(workbench.errors, []);
  });

  it('makes one of each kind, duplicates and deletes', async () => {
    const folder = await folderWith('panel-kinds', '{}');
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    const kinds: [string, Record<string, string>, object][] = [
      ['local', { threads_per_worker: '2' }, { threads_per_worker: 2 }],
      [
        'docker',
        { image: 'etl', volumes: '/a:/a\n/b:/b:ro' },
        { image: 'etl', volumes: ['/a:/a', '/b:/b:ro'] },
      ],
      [
        'kubernetes',
        { image: 'etl', namespace: 'flows', tolerations: '[{"key": "gpu"}]' },
        { image: 'etl', namespace: 'flows', tolerations: [{ key: 'gpu' }] },
      ],
      [
        'clusterClass',
        { cluster_class: 'distributed.LocalCluster' },
        { cluster_class: 'distributed.LocalCluster' },
      ],
      ['existing', { address: 'tcp://127.0.0.1:8786' }, { address: 'tcp://127.0.0.1:8786' }],
      ['localDask', { num_workers: '3' }, { num_workers: 3 }],
    ];
    const all: object[] = [];
    for (const [kind, fields, options] of kinds) {
      await panel.button('New').click();
      await panel.shows('');
      await panel.choose(kind);
      await panel.unfold();
      await panel.fill('name', `my ${kind}`);
      for (const [path, text] of Object.entries(fields)) await panel.fill(path, text);
      await panel.tab('JSON').click();
      await panel.showsCode(`"name": "my ${kind}"`);
      await panel.tab('YAML').click();
      const lines = kind === 'kubernetes' ? 'kind: Deployment' : `kind: ${kind}`;
      await panel.showsCode(lines);
      await workbench.screenshot(`panel ${kind}`);
      await panel.button('Save').click();
      const text = await settingsOf(workbench, folder, new RegExp(`"my ${kind}"`));
      all.push({ name: `my ${kind}`, kind, ...options });
      assert.deepEqual(JSON.parse(text)['flowClusters.executors'], all);
      await panel.shows(`my ${kind}`);
    }

    await panel.button('Insert').click();
    await workbench.page.getByRole('tab', { name: /Untitled-1/, selected: true }).waitFor();
    await workbench.page.locator('.view-line').filter({ hasText: 'num_workers: 3' }).waitFor();
    await workbench.page.getByRole('tab', { name: 'Executors' }).first().click();

    await panel.list.selectOption('my docker');
    await panel.has('name', 'my docker');
    await panel.button('Duplicate').click();
    await panel.has('name', 'my docker copy');
    await panel.button('Save').click();
    await settingsOf(workbench, folder, /"my docker copy"/);
    await panel.shows('my docker copy');
    await panel.button('Delete').click();
    const dialog = workbench.page.locator('.monaco-dialog-box');
    await dialog.filter({ hasText: 'Delete the executor my docker copy' }).waitFor();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    const text = await settingsOf(workbench, folder, /^(?![\s\S]*docker copy)/);
    assert.deepEqual(JSON.parse(text)['flowClusters.executors'], all);
  });

  it('has a field for each argument of a cluster class, and a flow runs on the class', async () => {
    const folder = await folderWith('panel-class', '{}');
    await writeFile(join(folder, 'my_clusters.py'), ownClusters);
    const workbench = await openWindow({ folder, file: 'plain_dask.py' });
    await workbench.lens('Run with local').first().waitFor();
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.button('New').click();
    await panel.shows('');
    await panel.choose('clusterClass');
    await panel.fill('name', 'own');
    await panel.fill('cluster_class', 'my_clusters.mak_cluster');
    await panel.leave('cluster_class');
    await panel
      .problem('cluster_class')
      .filter({ hasText: 'There is no mak_cluster in my_clusters' })
      .waitFor();
    await workbench.screenshot('panel class missing');

    await panel.fill('cluster_class', 'my_clusters.make_cluster');
    await panel.leave('cluster_class');
    await panel.field('cluster_kwargs.workers').waitFor();
    assert.deepEqual((await panel.arguments.allTextContents()).slice(0, 3), ['workers', 'label', 'lifetime']);
    await panel.status.filter({ hasText: '1 problem' }).waitFor();
    assert.equal(await panel.button('Run Flow').isEnabled(), false);
    await panel.button('Save').click();
    await panel.problem('cluster_kwargs.workers').filter({ hasText: 'workers is needed' }).waitFor();
    await panel.fill('cluster_kwargs.workers', '2');
    await panel.fill('cluster_kwargs.label', '7');
    await panel.fill('cluster_kwargs.lifetime', '{"$import": "datetime.timedelta", "kwargs": {"hours": 1}}');
    await panel.button('Add to cluster_kwargs').click();
    const last = panel.field('cluster_kwargs').locator('.row').last().locator('input');
    await last.first().fill('works');
    await last.last().fill('1');
    await panel.problem('cluster_kwargs').filter({ hasText: 'make_cluster takes no works' }).waitFor();
    await panel.button('Remove row').click();
    await workbench.screenshot('panel class');
    await panel.button('Save').click();
    const text = await settingsOf(workbench, folder, /"own"/);
    assert.deepEqual(JSON.parse(text)['flowClusters.executors'], [
      {
        ...{ name: 'own', kind: 'clusterClass', cluster_class: 'my_clusters.make_cluster' },
        cluster_kwargs: {
          ...{ workers: 2, label: '7' },
          lifetime: { $import: 'datetime.timedelta', kwargs: { hours: 1 } },
        },
      },
    ]);
    await panel.shows('own');
    await panel.has('cluster_kwargs.label', '7');
    await panel.button('Check').click();
    await panel.checked.filter({ hasText: 'make_cluster takes what it is to be called with' }).waitFor();
    await workbench.screenshot('panel checked');
    await panel.button('Run Flow').click();
    await workbench.row('Runs', /^plain_dask.*completed.*own/).waitFor({ timeout: 90_000 });
    assert.deepEqual(workbench.errors, []);
  });

  it('attaches to a cluster that is there, and a flow runs on it', async () => {
    const scheduler = await startBed({ version: 'latest' });
    try {
      const folder = await folderWith('panel-existing', '{}');
      const workbench = await openWindow({ folder, file: 'plain_dask.py' });
      await workbench.lens('Run with local').first().waitFor();
      const panel = await ExecutorPanelPage.open(workbench);
      await panel.make('existing', { name: 'prod', address: '127.0.0.1:1' });
      await panel.check('Can’t connect to tcp://127.0.0.1:1: nothing listens there');
      await panel.fill('address', scheduler.address);
      await panel.checked.first().waitFor({ state: 'hidden' });
      await panel.check(`The scheduler at ${scheduler.address} answers`);
      await panel.button('Run Flow').click();
      await workbench.row('Clusters', /^prod.*running · 2 workers.*attached/).waitFor({ timeout: 60_000 });
      await workbench.row('Runs', /^plain_dask.*completed.*prod/).waitFor({ timeout: 90_000 });
      assert.deepEqual(workbench.errors, []);
    } finally {
      await scheduler.stop();
    }
  });

  it('runs a flow of Prefect 1 on no cluster', async function () {
    this.timeout(600_000);
    const settings = JSON.stringify({ 'flowClusters.python': await pythonOf('prefect1') });
    const folder = await folderWith('panel-alone', settings);
    const workbench = await openWindow({ folder, file: 'prefect1_etl.py' });
    await workbench.lens('Run with local').first().waitFor();
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.make('localDask', { name: 'alone', num_workers: '6' });
    await panel.check('Prefect 1.');
    await panel.button('Run Flow').click();
    await workbench.row('Runs', /^etl-1.*completed.*alone/).waitFor({ timeout: 90_000 });
    await panel.button('Save').click();
    await settingsOf(workbench, folder, /"alone"/);
    assert.deepEqual(workbench.errors, []);
  });

  it('opens filled from the executor of a flow, and from pasted code', async () => {
    const folder = await folderWith('panel-written', laptop);
    await writeFile(join(folder, 'own.py'), ownRunner);
    const workbench = await openWindow({ folder, file: 'own.py' });
    await workbench.lens('Configure…').first().click();
    const panel = new ExecutorPanelPage(workbench);
    await panel.has('name', 'summing');
    await panel.has('n_workers', '2');
    await panel.finding('Of the code this is not kept: cluster_kwargs.silence_logs').waitFor();
    await workbench.screenshot('panel filled from a flow');
    await panel.button('Run Flow').click();
    await workbench.openSidebar();
    await workbench.row('Runs', /^summing.*completed.*summing/).waitFor({ timeout: 90_000 });

    await panel.writeCode('print(1)');
    await panel.codeProblem.filter({ hasText: 'There is no DaskTaskRunner' }).waitFor();
    await panel.writeCode('flow.executor = LocalDaskExecutor(scheduler="processes", num_workers=3)');
    await panel.has('num_workers', '3');
    assert.equal(await panel.kind('localDask').isChecked(), true);
    await panel.has('name', 'summing');
    await panel.codeProblem.waitFor({ state: 'hidden' });
    await workbench.screenshot('panel filled from code');
    await panel.button('Save').click();
    const text = await settingsOf(workbench, folder, /"summing"/);
    assert.match(text, /"kind": "localDask",\s+"scheduler": "processes",\s+"num_workers": 3/);
    assert.deepEqual(workbench.errors, []);
  });

  it('follows its code as that is changed, by keys alone, and keeps what can’t be read of it', async () => {
    const folder = await folderWith('panel-code', laptop);
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    const { keyboard } = workbench.page;
    const line = (inner: string) => `DaskTaskRunner(cluster_kwargs={"n_workers": ${inner})`;
    await panel.showsCode(line('1}'));
    await panel.code.focus();
    // Before the brackets that end the line above the last one.
    for (const key of ['ControlOrMeta+End', 'Home', 'ArrowLeft', 'ArrowLeft', 'ArrowLeft'])
      await keyboard.press(key);
    await keyboard.type('6');
    await panel.has('n_workers', '16');
    await keyboard.type(', "memory_limit" : "2GiB"');
    await panel.has('memory_limit', '2GiB');
    // Not written anew under the cursor.
    await panel.showsCode(line('16, "memory_limit" : "2GiB"}'));
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();

    await keyboard.press('Backspace');
    await panel.codeProblem.filter({ hasText: 'Line 3: this is no Python, or not whole yet.' }).waitFor();
    assert.equal(await panel.code.getAttribute('aria-invalid'), 'true');
    await workbench.screenshot('panel code that can’t be read');
    assert.deepEqual(await violations(panel), []);
    await panel.has('memory_limit', '2GiB');
    await keyboard.press('ControlOrMeta+Z');
    await panel.codeProblem.waitFor({ state: 'hidden' });
    await keyboard.press('Backspace');
    await keyboard.press('Tab');
    await panel.codeProblem.filter({ hasText: 'The form stays as it is.' }).waitFor();
    assert.equal(await panel.code.evaluate((area) => area.matches(':focus')), false);

    await workbench.runCommand('Developer: Reload Window');
    await panel.list.waitFor({ state: 'detached' });
    await workbench.ready();
    await panel.codeProblem.filter({ hasText: 'Line 3:' }).waitFor();
    await panel.showsCode(line('16, "memory_limit" : "2GiB}'));
    await panel.has('memory_limit', '2GiB');
    await panel.code.focus();
    await keyboard.press('Escape');
    await panel.codeProblem.waitFor({ state: 'hidden' });
    await panel.showsCode(line('16, "memory_limit": "2GiB"}'));

    await panel.tab('JSON').click();
    await panel.code.fill('{ "name": "json", "kind": "local", "n_workers": 3 }');
    await panel.code.press('ControlOrMeta+S');
    const text = await settingsOf(workbench, folder, /"json"/);
    assert.match(text, /"name": "json", "kind": "local", "n_workers": 3 \/\* enough \*\/ \}/);
    assert.deepEqual(workbench.errors, []);
  });

  it('keeps what is not saved when it is closed and when the window loads anew', async () => {
    const folder = await folderWith('panel-draft', laptop);
    const workbench = await openWindow({ folder });
    let panel = await ExecutorPanelPage.open(workbench);
    await panel.fill('memory_limit', '2GiB');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    await workbench.runCommand('View: Close Editor');
    await panel.list.waitFor({ state: 'detached' });

    panel = await ExecutorPanelPage.open(workbench);
    await panel.has('memory_limit', '2GiB');
    await workbench.runCommand('Developer: Reload Window');
    await panel.list.waitFor({ state: 'detached' });
    await workbench.ready();
    await panel.has('memory_limit', '2GiB');
    await panel.button('Discard Changes').click();
    await panel.has('memory_limit', '');

    // Pressed before the empty form is drawn: it is not meant for the executor that is still shown.
    await (await panel.frame()).evaluate(`{
      [...document.querySelectorAll('vscode-button')].find((one) => one.textContent === 'New').click();
      document.querySelector('input[value=docker]').click();
    }`);
    await panel.shows('');
    await panel.list.selectOption('laptop');
    await panel.shows('laptop');
    assert.equal(await panel.kind('local').isChecked(), true);
    await workbench.page.setViewportSize({ width: 760, height: 1000 });
    await workbench.screenshot('panel narrow');
    assert.equal(await settingsOf(workbench, folder, /./), laptop);
  });

  it('is filled in, saved and left by keys alone', async () => {
    const folder = await folderWith('panel-keys', laptop);
    const workbench = await openWindow({ folder });
    await workbench.runCommand('Flow Clusters: Configure Executors');
    const panel = new ExecutorPanelPage(workbench);
    const { keyboard } = workbench.page;
    await panel.list.focus();
    for (
      let presses = 0;
      !(await panel.kind('local').evaluate((radio) => radio.matches(':focus')));
      presses += 1
    ) {
      assert.ok(presses < 10, 'the kinds are not to be reached');
      await keyboard.press('Tab');
    }
    await keyboard.press('ArrowRight');
    await panel.field('image').waitFor();
    assert.equal(await panel.kind('docker').evaluate((radio) => radio.matches(':focus')), true);
    await keyboard.press('Tab');
    await keyboard.press('Home');
    await keyboard.press('Shift+End');
    await keyboard.type('box');
    await keyboard.press('Enter');
    await panel.problem('image').filter({ hasText: 'image must be the name of an image' }).waitFor();
    await keyboard.type('etl');
    await panel.problem('image').waitFor({ state: 'hidden' });
    await keyboard.press('Enter');
    const text = await settingsOf(workbench, folder, /"etl"/);
    assert.match(text, /"name": "box",\s+"kind": "docker"/);
    assert.match(text, /"flowClusters.defaultExecutor": "box"/);
  });
});

describe('what stands in the settings', function () {
  this.timeout(180_000);

  it('is written once, however often Save is pressed, and a cluster is started once', async () => {
    const folder = await folderWith('panel-twice', '{}');
    const workbench = await openWindow({ folder, file: 'plain_dask.py' });
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.button('New').click();
    await panel.shows('');
    await panel.fill('name', 'once');
    await panel.fill('n_workers', '1');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    await press(panel, 'Save', 6);
    await panel.shows('once');
    await panel.status.filter({ hasText: 'In the workspace settings' }).waitFor();
    const list = async () =>
      JSON.parse(await settingsOf(workbench, folder, /once/))['flowClusters.executors'];
    assert.deepEqual(await list(), [{ name: 'once', kind: 'local', n_workers: 1 }]);

    await panel.fill('n_workers', '2');
    await panel.input('n_workers').press('Enter');
    // Held down.
    await (await panel.frame()).evaluate(`for (let i = 0; i < 10; i++)
      document.activeElement.shadowRoot.activeElement.dispatchEvent(new KeyboardEvent('keydown',
        { key: 'Enter', repeat: true, bubbles: true, composed: true, cancelable: true }));`);
    await settingsOf(workbench, folder, /"n_workers": 2/);
    await panel.status.filter({ hasText: 'In the workspace settings' }).waitFor();
    assert.deepEqual(await list(), [{ name: 'once', kind: 'local', n_workers: 2 }]);

    await press(panel, 'Start Cluster', 4);
    await workbench.row('Clusters', /^once.*running/).waitFor({ timeout: 60_000 });
    await panel.enabled('Start Cluster');
    const rows = await workbench.row('Clusters', /^once/).allTextContents();
    assert.equal(rows.length, 1, rows.join('; '));
    assert.deepEqual(workbench.errors, []);
  });

  it('is not put back by a draft that is older than it', async () => {
    const folder = await folderWith('panel-older', laptop);
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.fill('memory_limit', '2GiB');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    const file = join(folder, '.vscode', 'settings.json');
    const pulled = laptop.replace('"n_workers": 1', '"n_workers": 7');
    await writeFile(file, pulled);
    await panel.has('n_workers', '7');
    await panel.has('memory_limit', '2GiB');
    await panel.button('Save').click();
    const saved = await settingsOf(workbench, folder, /2GiB/);
    assert.equal(saved, pulled.replace('/* enough */', '/* enough */, "memory_limit": "2GiB"'));
    await panel.status.filter({ hasText: 'In the workspace settings' }).waitFor();

    await panel.fill('n_workers', '3');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    await writeFile(file, saved.replace('"n_workers": 7', '"n_workers": 9'));
    const outdated = panel.outdated.filter({ hasText: 'n_workers changed in the settings meanwhile' });
    await outdated.waitFor();
    await workbench.screenshot('panel outdated');
    assert.deepEqual(await violations(panel), []);
    assert.equal(await panel.button('Save').isEnabled(), false);
    await panel.button('Keep Mine').click();
    await panel.enabled('Save');
    await panel.has('n_workers', '3');
    await writeFile(file, saved);
    await outdated.waitFor();
    await panel.button('Reload').click();
    await panel.has('n_workers', '7');
    await outdated.waitFor({ state: 'hidden' });
    assert.equal(await readFile(file, 'utf8'), saved);

    // A key of the last moment: the panel has not told of it yet.
    await (await panel.frame()).evaluate(`{
      const { setTimeout: real } = window;
      window.setTimeout = (act, ms, ...more) => real(act, ms === 150 ? 600_000 : ms, ...more);
    }`);
    await panel.fill('threads_per_worker', '4');
    await writeFile(file, saved.replace('"n_workers": 7', '"n_workers": 8'));
    await panel.has('n_workers', '8');
    await panel.has('threads_per_worker', '4');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    assert.equal(await outdated.isVisible(), false);
    await panel.fill('n_workers', '5');
    await writeFile(file, saved.replace('"n_workers": 7', '"n_workers": 6'));
    await outdated.waitFor();
    await panel.has('n_workers', '5');
  });

  it('may be gone while one changes it: Save puts it back, Discard removes it', async () => {
    const folder = await folderWith('panel-gone', laptop);
    const file = join(folder, '.vscode', 'settings.json');
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.fill('memory_limit', '2GiB');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    await writeFile(file, '{}');
    const gone = panel.outdated.filter({
      hasText: 'laptop was removed from the settings. Save puts it back',
    });
    await gone.waitFor();
    assert.deepEqual(await violations(panel), []);
    await workbench.screenshot('panel removed');
    await panel.list.selectOption('local');
    await panel.shows('local');
    await gone.waitFor({ state: 'hidden' });
    await panel.list.selectOption({ label: 'laptop (removed)' });
    await panel.has('memory_limit', '2GiB');
    await panel.button('Save').click();
    const text = await settingsOf(workbench, folder, /laptop/);
    assert.deepEqual(JSON.parse(text)['flowClusters.executors'], [
      { name: 'laptop', kind: 'local', n_workers: 1, memory_limit: '2GiB' },
    ]);
    await gone.waitFor({ state: 'hidden' });
    await panel.shows('laptop');
    await panel.fill('memory_limit', '3GiB');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    await writeFile(file, '{}');
    await gone.waitFor();
    await panel.button('Discard').click();
    await panel.shows('local');
    assert.deepEqual(await panel.list.locator('option').allTextContents(), ['local']);
  });

  it('stays where its kind is none: it is told until one is chosen', async () => {
    const gpu = { name: 'gpu', kind: 'Docker', image: 'etl', cpus: 2 };
    const folder = await folderWith('panel-kind', JSON.stringify({ 'flowClusters.executors': [gpu] }));
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.kindProblem.filter({ hasText: 'kind must be "local", "docker"' }).waitFor();
    assert.equal(await panel.kind('local').isChecked(), false);
    await workbench.screenshot('panel no kind');
    assert.deepEqual(await violations(panel), []);
    await panel.button('Save').click();
    await panel.choose('docker');
    await panel.has('image', 'etl');
    await panel.has('cpus', '2');
    await panel.kindProblem.waitFor({ state: 'hidden' });
    await panel.button('Save').click();
    const text = await settingsOf(workbench, folder, /"docker"/);
    assert.deepEqual(JSON.parse(text)['flowClusters.executors'], [{ ...gpu, kind: 'docker' }]);
  });

  it('is not saved with a mistake of the last moment: it is told at the field', async () => {
    const folder = await folderWith('panel-quick', laptop);
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.shows('laptop');
    // Within the time that a check waits for more to be typed.
    await (await panel.frame()).evaluate(`{
      const enter = (path, text, key) => {
        const field = document.querySelector('[data-control="' + path + '"]');
        const input = field.shadowRoot.querySelector('input');
        input.focus();
        input.value = text;
        input.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true }));
        if (key) input.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, composed: true }));
      };
      enter('n_workers', 'two');
      enter('memory_limit', '2GiB', 'Enter');
    }`);
    await panel.problem('n_workers').filter({ hasText: 'n_workers must be a whole number' }).waitFor();
    await panel.hasFocus('n_workers');
    assert.equal(await settingsOf(workbench, folder, /./), laptop);
  });

  it('has one new executor at a time beside it, which Duplicate does not replace unasked', async () => {
    const folder = await folderWith('panel-new', laptop);
    const workbench = await openWindow({ folder });
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.button('New').click();
    await panel.shows('');
    await panel.fill('name', 'half done');
    await panel.status.filter({ hasText: 'Not saved yet' }).waitFor();
    const dialog = workbench.page.locator('.monaco-dialog-box');
    const duplicate = async (answer: string) => {
      await panel.list.selectOption('laptop');
      await panel.shows('laptop');
      await panel.button('Duplicate').click();
      await dialog.filter({ hasText: 'The new executor half done is not saved. Replace it?' }).waitFor();
      await dialog.getByRole('button', { name: answer }).click();
    };
    await duplicate('Cancel');
    await duplicate('Show It');
    await panel.has('name', 'half done');
    await duplicate('Replace');
    await panel.has('name', 'laptop copy');
  });
});

/** Presses a button again and again, 60 ms apart, whether it is off by then or not. */
async function press(panel: ExecutorPanelPage, name: string, times: number): Promise<void> {
  await (await panel.frame()).evaluate(`(async () => {
    const button = [...document.querySelectorAll('vscode-button')].find((one) => one.textContent === '${name}');
    for (let i = 0; i < ${times}; i++) {
      button.click();
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  })()`);
}

/** What keeps people out. */
async function violations(panel: ExecutorPanelPage): Promise<object[]> {
  const frame = await panel.frame();
  await frame.evaluate(axe.source);
  const { violations } = (await frame.evaluate('axe.run()')) as axe.AxeResults;
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => ({ id, target, failureSummary })),
  );
}

describe('the panel of executors, looked at by axe-core', function () {
  this.timeout(180_000);

  for (const theme of [
    'Dark Modern',
    'Light Modern',
    'Default High Contrast',
    'Default High Contrast Light',
  ]) {
    it(`has nothing that keeps people out, in ${theme}`, async () => {
      const settings = { 'workbench.colorTheme': theme };
      const folder = await folderWith(`panel-${theme.replaceAll(' ', '-')}`, JSON.stringify(settings));
      const workbench = await openWindow({ folder });
      const panel = await ExecutorPanelPage.open(workbench);
      for (const kind of ['local', 'docker', 'kubernetes', 'clusterClass', 'existing', 'localDask']) {
        await panel.choose(kind);
        if (kind === 'clusterClass') {
          await panel.fill('cluster_class', 'distributed.LocalCluster');
          await panel.leave('cluster_class');
          await panel.field('cluster_kwargs.n_workers').waitFor({ timeout: 60_000 });
        }
        await panel.unfold();
        await panel.fill('name', 'x');
        await panel.fill('name', '');
        await panel.problem('name').waitFor();
        if (kind === 'kubernetes') await panel.tab('JSON').click();
        await panel.code.fill('nothing');
        await panel.codeProblem.waitFor();
        assert.deepEqual(await violations(panel), [], kind);
        await workbench.screenshot(`panel ${theme} ${kind}`);
      }
      assert.deepEqual(workbench.errors, []);
    });
  }
});
