import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureTestPython } from '../../scripts/lib/testBed.mjs';
import { PersonBed } from '../support/person.ts';
import type { Workbench } from '../support/workbench.ts';

describe('a first click while Python is slow to start', function () {
  this.timeout(300_000);
  let folder: string;
  let bed: PersonBed;
  let workbench: Workbench;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-slow-'));
    const python = join(folder, 'python');
    await writeFile(python, `#!/bin/sh\nsleep 8\nexec '${await ensureTestPython()}' "$@"\n`, { mode: 0o755 });
    bed = await PersonBed.start({ 'flowClusters.python': python, 'flowClusters.warmUp': 'onRun' });
    workbench = await bed.open({ file: 'plain_dask.py' });
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.screenshot('failed cold');
  });

  after(async () => {
    await workbench?.close();
    await bed?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('says what is going on, takes a second click for the same, and can be cancelled', async () => {
    await workbench.openSidebar();
    await workbench.lens('Run with local').first().click();
    await workbench.lens('Run with local').first().click();
    const progress = await workbench.notification(/Run plain_dask.*starting .*python/);
    assert.equal(await progress.count(), 1);
    await progress.hover();
    await progress.getByRole('button', { name: 'Cancel' }).click();
    await progress.waitFor({ state: 'detached' });
    // Longer than the interpreter takes: what was given up does not come back.
    await workbench.page.waitForTimeout(8_500);
    assert.equal(await workbench.row('Runs', /plain_dask/).count(), 0);
  });

  it('runs with the next click', async () => {
    await workbench.lens('Run with local').first().click();
    await workbench
      .row('Runs', /^plain_dask/)
      .first()
      .waitFor();
    assert.equal(await workbench.row('Runs', /^plain_dask/).count(), 1);
    await workbench.row('Runs', /^plain_dask.*completed/).waitFor({ timeout: 60_000 });
  });
});
