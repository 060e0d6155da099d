import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lead } from '../../../src/host/lead.ts';
import { isWindowAlive, startOf, thisWindow } from '../../../src/host/windowLife.ts';

describe('whether a window is alive', () => {
  it('goes by number and start, as numbers are used again', async function () {
    const own = await thisWindow();
    if (own.started === undefined) this.skip();
    assert.equal(await isWindowAlive(own), true);
    assert.equal(await isWindowAlive({ ...own, started: own.started.replace(/\d+$/, '1') }), false);
    assert.equal(
      await isWindowAlive({ ...own, started: own.started.replace(/^[^.]+/, 'another-boot') }),
      false,
    );
    const elsewhere = { pid: 1 << 22, started: own.started.replace(/\.\d+\./, '.1.') };
    assert.equal(await isWindowAlive(elsewhere), true, 'one in another container is not known to be dead');
  });

  it('is false for one that has ended', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const window = { pid, started: await startOf(pid) };
    assert.equal(await isWindowAlive(window), true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(await isWindowAlive(window), false);
  });

  it('goes by number alone where no start is known', async () => {
    assert.equal(await isWindowAlive({ pid: process.pid, started: undefined }), true);
    assert.equal(await isWindowAlive({ pid: Number.NaN, started: undefined }), false);
  });
});

describe('the lead among windows', () => {
  it('is with the one that took it last, and passes on when that is gone', async () => {
    const name = `flow-clusters-test-${process.pid}`;
    const [one, other] = [new Lead(name), new Lead(name)];
    try {
      assert.equal(await one.isMine(), true);
      assert.equal(await other.isMine(), false);
      await other.take();
      assert.equal(await one.isMine(), false);
      await one.giveUp();
      assert.equal(await one.isMine(), false);
      await other.giveUp();
      assert.equal(await one.isMine(), true);
    } finally {
      await rm(join(tmpdir(), `${name}.lead`), { force: true });
    }
  });
});
