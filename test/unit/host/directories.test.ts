import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { makeHostDirectory, removeOrphanDirectories } from '../../../src/host/directories.ts';

describe('host directories', () => {
  let place: string;
  const before = process.env.TMPDIR;

  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'directories-'));
    process.env.TMPDIR = place;
  });

  afterEach(async () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    await rm(place, { recursive: true });
  });

  async function ownedBy(name: string, owner: string): Promise<void> {
    await mkdir(join(place, name, 'spill'), { recursive: true });
    await writeFile(join(place, name, 'owner.json'), owner);
  }

  it('are for the user alone, and short enough for sockets in them', async () => {
    const directory = await makeHostDirectory();
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    assert.ok(basename(directory).length < 30);
    assert.notEqual(await makeHostDirectory(), directory);
  });

  it('are removed when their window is gone, and only then', async () => {
    const gone = spawnSync('true').pid;
    await ownedBy('flow-clusters-dead', JSON.stringify({ pid: gone }));
    await ownedBy('flow-clusters-alive', JSON.stringify({ pid: process.ppid }));
    await ownedBy('flow-clusters-root', JSON.stringify({ pid: 1 }));
    await ownedBy('flow-clusters-garbage', 'not JSON');
    await ownedBy('flow-clusters-nobody', '{}');
    await ownedBy('other-dead', JSON.stringify({ pid: gone }));
    await mkdir(join(place, 'flow-clusters-young'));
    await writeFile(join(place, 'flow-clusters-file'), '');
    const mine = await makeHostDirectory();
    assert.equal(await removeOrphanDirectories(), 1);
    assert.deepEqual(
      (await readdir(place)).sort(),
      [
        ...[basename(mine), 'flow-clusters-alive', 'flow-clusters-file', 'flow-clusters-garbage'],
        ...['flow-clusters-nobody', 'flow-clusters-root', 'flow-clusters-young', 'other-dead'],
      ].sort(),
    );
    await access(mine);
    assert.equal(await removeOrphanDirectories(), 0);
  });
});
