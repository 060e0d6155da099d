import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeCertificates } from '../../../src/backends/certificateMaker.ts';
import { Relay } from '../../../src/backends/relay.ts';
import { TcpProxy } from '../../support/network.ts';

const helpers = fileURLToPath(new URL('../../../src/python', import.meta.url));

/** The hub as it is beside a scheduler, which tells of its holders; as strict with certificates as Python 3.13 is. */
const hub = `
import asyncio, ssl, sys
sys.path.insert(0, sys.argv[1])
usual = ssl.create_default_context
def strict(*args, **kwargs):
    context = usual(*args, **kwargs)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
ssl.create_default_context = strict
from flow_clusters import relay
relay.PORT, relay.BEAT_SECONDS = 0, 0.1
class Hub(relay.Hub):
    def __setattr__(self, name, value):
        if name == "_holders" and name in vars(self):
            print(value, flush=True)
        super().__setattr__(name, value)
async def main():
    hub = Hub()
    await hub.listen(sys.argv[2])
    print(hub._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
`;

describe('the relay of a cluster', () => {
  let folder: string;
  let program: ChildProcess;
  let lines: AsyncIterator<string>;
  let proxy: TcpProxy;
  let relay: Relay;

  const said = async (): Promise<string> => (await lines.next()).value;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'relay-'));
    const { members, client } = await makeCertificates('etl');
    await writeFile(join(folder, 'ca.pem'), members.ca);
    await writeFile(join(folder, 'node.pem'), `${members.cert}\n${members.key}`);
    program = spawn('python3', ['-c', hub, helpers, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    lines = createInterface({ input: program.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    proxy = await TcpProxy.start({ host: '127.0.0.1', port: Number(await said()) });
    relay = new Relay({ host: '127.0.0.1', port: proxy.port, security: client }, 500);
  });

  afterEach(async () => {
    relay.close();
    await proxy.cut();
    program.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  it('holds it by certificates that the strictest Python takes', async () => {
    relay.hold();
    assert.equal(await said(), '1');
    relay.close();
    assert.equal(await said(), '0');
  });

  it('holds it anew after a network has gone without a word', async () => {
    relay.hold();
    assert.equal(await said(), '1');
    proxy.freeze();
    while (proxy.count < 2) await sleep(20);
    await proxy.restore();
    // The new one may come before the old one has gone.
    assert.match(await said(), /^[02]$/);
    assert.equal(await said(), '1');
  });
});
