import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type DaskConfigPlaces, readDaskConfig } from '../../../src/dask/daskConfig.ts';

describe('Dask’s configuration', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'dask-config-'));
  });

  afterEach(() => rm(root, { recursive: true }));

  async function write(file: string, text: string): Promise<string> {
    const path = join(root, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return path;
  }

  const read = (places: Partial<DaskConfigPlaces> = {}) => {
    const env = { DASK_ROOT_CONFIG: join(root, 'etc'), ...places.env };
    return readDaskConfig({ home: join(root, 'home'), ...places, env });
  };

  it('may say nothing', async () => {
    assert.deepEqual(await read(), { problems: [] });
    await write('home/.config/dask/a.yaml', '# nothing\n');
    await write('home/.config/dask/b.yaml', 'scheduler-address: null\n');
    await write('home/.config/dask/c.txt', 'scheduler-address: tcp://c:1\n');
    assert.deepEqual(await read(), { problems: [] });
  });

  it('is read from all of Dask’s places, the nearest to the user wins', async () => {
    const places = { python: join(root, 'env', 'bin', 'python'), env: {} };
    const layers = [
      ['etc/dask.yaml', 'tcp://etc:1'],
      ['env/etc/dask/distributed.yml', 'tcp://env:1'],
      ['home/.config/dask/a.yaml', 'tcp://a:1'],
      ['home/.config/dask/b.JSON', 'tcp://b:1'],
    ];
    for (const [file = '', address = ''] of layers) {
      const json = file.endsWith('JSON');
      const source = await write(
        file,
        json ? `{"scheduler_address": "${address}"}` : `scheduler-address: ${address}`,
      );
      assert.deepEqual(await read(places), { address, source, problems: [] });
    }
    const file = await write('own.yaml', 'scheduler_address: localhost:8786');
    const own = await read({ ...places, env: { DASK_CONFIG: file } });
    assert.deepEqual(own, { address: 'localhost:8786', source: file, problems: [] });
  });

  it('gives way to the environment, whose values may be Python’s', async () => {
    await write('etc/dask.yaml', 'scheduler-address: tcp://etc:1');
    for (const value of ['tcp://env:2', "'tcp://env:2'", ' "tcp://env:2" ']) {
      const { address, source } = await read({ env: { DASK_SCHEDULER_ADDRESS: value } });
      assert.deepEqual([address, source], ['tcp://env:2', 'DASK_SCHEDULER_ADDRESS']);
    }
  });

  it('names the client’s certificates, each from where it is said last', async () => {
    await write(
      'etc/dask.yaml',
      'distributed:\n  comm:\n    tls:\n      ca-file: /ca.pem\n      client: {cert: /old.pem, key: /key.pem}\n',
    );
    await write('home/.config/dask/tls.yaml', 'distributed: {comm: {tls: {client: {cert: /cert.pem}}}}');
    const env = { DASK_DISTRIBUTED__COMM__TLS__CA_FILE: '/own/ca.pem' };
    assert.deepEqual((await read({ env })).tls, { ca: '/own/ca.pem', cert: '/cert.pem', key: '/key.pem' });
    assert.equal((await read({ env: { DASK_ROOT_CONFIG: '/nowhere' } })).tls, undefined);
  });

  it('says which file is malformed, and goes on', async () => {
    const bad = await write('etc/bad.yaml', 'scheduler-address: [');
    await write('etc/list.yaml', '- a\n- b\n');
    await write('etc/z.yaml', 'scheduler-address: tcp://z:1');
    const { address, problems } = await read();
    assert.equal(address, 'tcp://z:1');
    assert.equal(problems.length, 1);
    assert.ok(problems[0]?.startsWith(`${bad}: `));
  });
});
