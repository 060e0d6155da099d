import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { removeFolder } from './hostLive.ts';
import { testCluster } from './kubernetes.ts';

/** A method and what it is about: `POST secrets`, `GET portforward`. */
export type Call = string;

/**
 * The API server for one program, by plain HTTP: each call waits until the test lets it through. Those that never get through
 * break when the gate closes, or their program is gone. WebSockets have no tunnels, as those of servers before 1.31.
 */
export class ApiGate {
  readonly kubeconfig: string;
  readonly #folder: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, folder: string) {
    this.#server = server;
    this.#folder = folder;
    this.kubeconfig = join(folder, 'config');
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
    });
  }

  /** @param admit hears of each call before its turn; resolves with what hears that it was answered, or never */
  static async start(admit: (call: Call) => Promise<(() => void) | undefined>): Promise<ApiGate> {
    const server = createServer();
    const gate = new ApiGate(server, await mkdtemp(join(tmpdir(), 'flow-clusters-gate-')));
    server.on('request', async (asked: IncomingMessage, answer: ServerResponse) => {
      const onAnswer = await admit(callOf(asked));
      const far = ask(asked).on('error', () => answer.destroy());
      far.on('response', (answered) => {
        answer.writeHead(answered.statusCode ?? 502, answered.headers);
        answered.pipe(answer);
        onAnswer?.();
      });
      answer.once('close', () => far.destroy());
      asked.pipe(far);
    });
    server.on('upgrade', async (asked: IncomingMessage, near: Duplex) => {
      await admit(callOf(asked));
      const far = ask(asked).on('error', () => near.destroy());
      far.on('response', () => near.destroy());
      far.on('upgrade', ({ statusCode, statusMessage, rawHeaders }, socket: Socket, first: Buffer) => {
        const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
        for (let at = 0; at < rawHeaders.length; at += 2)
          lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
        near.write(`${lines.join('\r\n')}\r\n\r\n`);
        near.write(first);
        for (const [from, to] of [[near, socket] as const, [socket, near] as const])
          from
            .on('error', () => to.destroy())
            .once('close', () => to.destroy())
            .pipe(to);
      });
      far.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const named = (what: object) => [{ name: 'gate', ...what }];
    const config = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'gate' },
      // It wants to be told that there is no TLS.
      clusters: named({ cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }),
      contexts: named({ context: { cluster: 'gate', user: 'gate' } }),
      users: named({ user: {} }),
    };
    await writeFile(gate.kubeconfig, JSON.stringify(config));
    return gate;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await removeFolder(this.#folder);
  }
}

/** As the tests' own user, with all rights. */
function ask({ method, url, headers }: IncomingMessage) {
  const config = testCluster();
  const [cluster, user] = [config.getCurrentCluster(), config.getCurrentUser()];
  const decoded = (data = '') => Buffer.from(data, 'base64');
  const { host: _here, 'sec-websocket-protocol': protocols, ...others } = headers;
  const known = protocols?.split(/, */).filter((one) => !one.startsWith('SPDY/'));
  return request(new URL(url ?? '', cluster?.server), {
    ...{ method, agent: false },
    headers: { ...others, ...(known && { 'sec-websocket-protocol': known.join(', ') }) },
    ...{ ca: decoded(cluster?.caData), cert: decoded(user?.certData), key: decoded(user?.keyData) },
  });
}

/** Names in a path are every other part of it: `…/namespaces/NAME/pods/NAME/portforward`. */
function callOf({ method, url = '' }: IncomingMessage): Call {
  const path = url.replace(/\?.*$/, '');
  const [, resource, subresource] =
    /\/namespaces\/[^/]+\/([^/]+)(?:\/[^/]+(?:\/([^/]+))?)?$/.exec(path) ?? [];
  return `${method} ${subresource ?? resource ?? path}`;
}
