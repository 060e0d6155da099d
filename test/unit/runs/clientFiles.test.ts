import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ClientFiles } from '../../../src/runs/clientFiles.ts';

const security = { ca: 'authority', cert: 'certificate', key: 'key' };

describe('certificates as files', () => {
  let parent: string;
  let files: ClientFiles;

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'client-files-'));
    files = new ClientFiles(join(parent, 'certificates'));
  });
  afterEach(() => rm(parent, { recursive: true }));

  it('are for the user alone, the same for the same cluster, and gone with it', async () => {
    const paths = await files.put(security);
    assert.deepEqual(await files.put(security), paths);
    assert.equal(await readFile(paths.key ?? '', 'utf8'), 'key');
    if (process.platform !== 'win32') {
      assert.equal((await stat(paths.key ?? '')).mode & 0o777, 0o600);
      assert.equal((await stat(dirname(paths.ca))).mode & 0o777, 0o700);
    }
    const others = await files.put({ ...security, ca: 'other' });
    await files.remove(security);
    await assert.rejects(stat(paths.ca));
    assert.equal(await readFile(others.ca, 'utf8'), 'other');
  });

  it('of clusters that have long gone go with the next', async () => {
    const old = dirname((await files.put(security)).ca);
    const before = new Date(Date.now() - 70 * 24 * 3_600_000);
    await utimes(old, before, before);
    await files.put({ ...security, ca: 'other' });
    assert.equal((await readdir(dirname(old))).length, 1);
  });
});
