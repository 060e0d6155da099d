import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const layerBytes = 64 * 1024 * 1024;
const pieceBytes = 64 * 1024;
const pieceMs = 100;

export interface SlowRegistry {
  /** Name of an image that takes minutes to pull. */
  readonly image: string;
  /** How many pull it now. */
  readonly pullers: number;
  stop(): Promise<void>;
}

/** A registry on loopback, where engines take plain HTTP. */
export async function slowRegistry(): Promise<SlowRegistry> {
  const digest = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const config = JSON.stringify({
    ...{ architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', os: 'linux', config: {} },
    rootfs: { type: 'layers', diff_ids: [digest('never read')] },
  });
  const type = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: type },
    config: {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      ...{ size: config.length, digest: digest(config) },
    },
    layers: [
      {
        mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
        ...{ size: layerBytes, digest: digest('layer') },
      },
    ],
  });
  const pullers = new Set<ServerResponse>();
  const server = createServer(({ url = '', method }, response) => {
    if (url.includes('/manifests/')) {
      response.setHeader('content-type', type);
      response.setHeader('docker-content-digest', digest(manifest));
      response.setHeader('content-length', manifest.length);
      response.end(method === 'HEAD' ? undefined : manifest);
    } else if (url.endsWith(digest('layer'))) {
      response.setHeader('content-length', layerBytes);
      pullers.add(response);
      const timer = setInterval(() => response.write(Buffer.alloc(pieceBytes)), pieceMs);
      response.once('close', () => {
        clearInterval(timer);
        pullers.delete(response);
      });
    } else response.end(url.endsWith(digest(config)) ? config : '{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    image: `localhost:${port}/slow:1`,
    get pullers() {
      return pullers.size;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
