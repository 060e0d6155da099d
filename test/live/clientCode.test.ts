import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type ClientTarget, clientCode, clientEnvironment } from '../../src/core/clientCode.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import { type Bed, type BedOptions, startBed } from '../support/schedulerBed.ts';

const run = promisify(execFile);

describe('client code', function () {
  this.timeout(180_000);
  let bed: Bed | undefined;

  before(async function () {
    this.timeout(300_000);
    await daskEnv('latest');
  });
  afterEach(() => bed?.stop());

  async function start(options: Partial<BedOptions>): Promise<{ python: string; target: ClientTarget }> {
    bed = await startBed({ version: 'latest', workers: 1, ...options });
    return { python: bed.python, target: { address: bed.address, files: bed.certificates?.files } };
  }

  /** What a script prints that connects, and asks its scheduler for who it is. */
  async function whoAnswers(python: string, code: string, env: Readonly<Record<string, string>> = {}) {
    const script = `${code}\nprint(client.scheduler_info()["address"], client.submit(sum, [1, 2]).result())`;
    const { stdout } = await run(python, ['-c', script], {
      env: { ...process.env, ...env },
      timeout: 120_000,
    });
    return stdout.trim();
  }

  for (const protocol of ['tcp', 'tls', 'ws'] as const) {
    it(`connects over ${protocol}`, async () => {
      const { python, target } = await start({ protocol });
      assert.equal(await whoAnswers(python, clientCode(target)), `${target.address} 3`);
    });
  }

  it('is not needed in a terminal of the active cluster, with TLS neither', async () => {
    for (const protocol of ['tcp', 'tls'] as const) {
      const { python, target } = await start({ protocol });
      const bare = 'from distributed import Client\nclient = Client()';
      assert.equal(await whoAnswers(python, bare, clientEnvironment(target)), `${target.address} 3`);
      await bed?.stop();
    }
  });
});
