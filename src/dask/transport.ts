import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { Security } from '../core/security.ts';
import type { Address } from './address.ts';
import {
  defaultLimits,
  encodeStream,
  encodeWebSocket,
  type Framing,
  StreamFraming,
  WebSocketFraming,
} from './frames.ts';
import { tlsOptions } from './security.ts';

/** A connection that carries frames: all that is different between the schemes. */
export interface Transport {
  /** For what arrives here. */
  readonly framing: Framing;
  send(frames: readonly Uint8Array[]): void;
  /** Stops and resumes reading from the network, so that a peer can't fill our memory. */
  pause(): void;
  resume(): void;
  /** Sends what is written, then closes. */
  close(): void;
  /** Closes now. */
  abort(): void;
}

/** Is told what happens on a transport. `onClosed` comes exactly once and last. */
export interface TransportEvents {
  onOpen(): void;
  onBytes(bytes: Uint8Array): void;
  onClosed(error: Error | undefined): void;
}

/** Starts to connect. The events tell how it goes; they never come before this returns. */
export function openTransport(
  address: Address,
  security: Security | undefined,
  events: TransportEvents,
): Transport {
  switch (address.scheme) {
    case 'tcp': {
      const socket = connectTcp({ host: address.host, port: address.port, noDelay: true });
      socket.once('connect', events.onOpen);
      return overSocket(socket, events);
    }
    case 'tls': {
      const socket = connectTls({ host: address.host, port: address.port, ...tlsOptions(security) });
      socket.setNoDelay(true);
      socket.once('secureConnect', events.onOpen);
      return overSocket(socket, events);
    }
    case 'ws':
    case 'wss':
      return overWebSocket(address, security, events);
  }
}

/** How soon a silent peer is asked for a sign of life. */
const keepAliveMs = 10_000;

function overSocket(socket: Socket, events: TransportEvents): Transport {
  let failure: Error | undefined;
  socket.setKeepAlive(true, keepAliveMs);
  socket.on('data', events.onBytes);
  socket.on('error', (error) => {
    failure = error;
  });
  socket.once('close', () => events.onClosed(failure));
  return {
    framing: new StreamFraming(),
    send: (frames) => void socket.write(encodeStream(frames)),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => socket.destroySoon(),
    abort: () => void socket.destroy(),
  };
}

function overWebSocket(address: Address, security: Security | undefined, events: TransportEvents): Transport {
  let failure: Error | undefined;
  const socket = new WebSocket(`${address.text}/`, {
    perMessageDeflate: false,
    maxPayload: defaultLimits.maxMessageBytes,
    ...(address.scheme === 'wss' && tlsOptions(security)),
  });
  socket.binaryType = 'nodebuffer';
  // Listens from the start: the peer's handshake can come in the packet that ends the upgrade.
  socket.on('message', (data) => events.onBytes(data as Buffer));
  socket.on('error', (error) => {
    failure = error;
  });
  socket.once('open', events.onOpen);
  socket.once('close', () => events.onClosed(failure));
  return {
    framing: new WebSocketFraming(),
    send: (frames) => {
      for (const message of encodeWebSocket(frames)) socket.send(message);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
    abort: () => socket.terminate(),
  };
}
