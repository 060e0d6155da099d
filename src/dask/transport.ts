import { connect as connectTcp, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { Address } from '../core/address.ts';
import type { Security } from '../core/security.ts';
import type { Stage } from './failures.ts';
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
  /** What the peer has not taken yet. */
  readonly unsentBytes: number;
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
  /** What is to be agreed on next; `handshake` when frames can be sent. */
  onStage(stage: Exclude<Stage, 'connect' | 'open'>): void;
  /** The bytes may be overwritten afterwards. */
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
      const socket = connectTcp({ ...placeOf(address), noDelay: true, onread: intoBuffer(events) });
      socket.once('connect', () => events.onStage('handshake'));
      return overSocket(socket, events);
    }
    case 'tls':
    case 'gateway': {
      // Node has it for TLS, too; its types have not.
      const onread: object = { onread: intoBuffer(events) };
      const options = { ...onread, ...tlsOptions(security), ...asked(address) };
      const socket = connectTls({ ...placeOf(address), ...options });
      socket.setNoDelay(true);
      socket.once('connect', () => events.onStage('tls'));
      socket.once('secureConnect', () => events.onStage('handshake'));
      return overSocket(socket, events);
    }
    case 'ws':
    case 'wss':
      return overWebSocket(address, security, events);
  }
}

/** A name may have several addresses. Node gives each but the last 250 ms, which is little over a VPN. */
const placeOf = ({ host, port }: Address) => ({ host, port, autoSelectFamilyAttemptTimeout: 1000 });

/** The name by which a gateway's proxy knows whose connection it is: it passes the TLS of that cluster on as it is. */
const asked = ({ cluster }: Address) =>
  cluster === undefined ? {} : { servername: `daskgateway-${cluster}` };

/** How soon a silent peer is asked for a sign of life. */
const keepAliveMs = 10_000;

const readBytes = 65_536;

/** What arrives, in one buffer that is used again: a stream's own chunks would cost a tenth of a call's time. */
function intoBuffer(events: TransportEvents): OnReadOpts {
  return {
    buffer: Buffer.allocUnsafeSlow(readBytes),
    callback: (count, buffer) => {
      events.onBytes(buffer.subarray(0, count));
      return true;
    },
  };
}

function overSocket(socket: Socket, events: TransportEvents): Transport {
  let failure: Error | undefined;
  socket.setKeepAlive(true, keepAliveMs);
  socket.on('error', (error) => {
    failure = error;
  });
  socket.once('close', () => events.onClosed(failure));
  return {
    framing: new StreamFraming(),
    send: (frames) => void socket.write(encodeStream(frames)),
    get unsentBytes() {
      return socket.writableLength;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => socket.destroySoon(),
    abort: () => void socket.destroy(),
  };
}

function overWebSocket(address: Address, security: Security | undefined, events: TransportEvents): Transport {
  let failure: Error | undefined;
  const secure = address.scheme === 'wss';
  const socket = new WebSocket(`${address.text}/`, {
    perMessageDeflate: false,
    maxPayload: defaultLimits.maxMessageBytes,
    ...(secure && tlsOptions(security)),
    finishRequest: (request) => {
      request.once('socket', (connecting) => {
        connecting.once('connect', () => events.onStage(secure ? 'tls' : 'upgrade'));
        connecting.once('secureConnect', () => events.onStage('upgrade'));
      });
      request.end();
    },
  });
  socket.binaryType = 'nodebuffer';
  // Listens from the start: the peer's handshake can come in the packet that ends the upgrade.
  socket.on('message', (data) => events.onBytes(data as Buffer));
  socket.on('error', (error) => {
    failure = error;
  });
  socket.once('open', () => events.onStage('handshake'));
  socket.once('close', () => events.onClosed(failure));
  return {
    framing: new WebSocketFraming(),
    send: (frames) => {
      for (const message of encodeWebSocket(frames)) socket.send(message);
    },
    get unsentBytes() {
      return socket.bufferedAmount;
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
    abort: () => socket.terminate(),
  };
}
