import assert from 'node:assert/strict';
import { PersonBed } from '../support/person.ts';
import type { Workbench } from '../support/workbench.ts';

describe('a person who does not trust a folder yet', function () {
  this.timeout(120_000);
  let bed: PersonBed;
  let workbench: Workbench;

  before(async () => {
    bed = await PersonBed.start({}, true);
    workbench = await bed.open({ file: 'plain_dask.py' });
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.screenshot('failed untrusted');
  });

  after(async () => {
    await workbench?.close();
    await bed?.close();
  });

  /** The interpreters that the extension has started. */
  const pythons = async () => (await bed.processes()).filter(({ executable }) => /python/.test(executable));

  it('sees lenses, and nothing of theirs runs', async () => {
    await workbench.lens('Run with local').first().waitFor();
    await workbench.lens('Run with local').first().click();
    const message = await workbench.notification('This workspace is not trusted');
    await message.getByRole('button', { name: 'Manage Trust' }).waitFor();
    assert.deepEqual(await pythons(), []);
  });

  it('trusts it by the message, and Python is warmed for the open flow', async () => {
    const message = await workbench.notification('This workspace is not trusted');
    await message.getByRole('button', { name: 'Manage Trust' }).click();
    await workbench.page.getByRole('button', { name: 'Trust', exact: true }).click();
    const until = Date.now() + 20_000;
    while ((await pythons()).length === 0 && Date.now() < until) await workbench.page.waitForTimeout(200);
    assert.notEqual((await pythons()).length, 0, 'no interpreter was started within 20 s');
  });
});
