import { request as askPlainly, type IncomingMessage } from 'node:http';
import { request as askSecurely, type RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import type {
  ApisApi,
  AppsV1Api,
  AuthenticationV1Api,
  AuthorizationV1Api,
  BatchV1Api,
  Configuration,
  ConfigurationOptions,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  ObservableMiddleware,
  RequestContext,
  ResponseContext,
  VersionApi,
} from '@kubernetes/client-node';
import { type ClientOptions, WebSocket } from 'ws';
import { executorSettings, UserError } from '../../core/errors.ts';
import { within } from '../../core/limit.ts';

/** Which API server, and where in it. Absent is what `kubectl` would take. */
export interface ApiChoice {
  readonly context?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly namespace?: string | undefined;
}

/** Where an API server was found. */
export interface ApiPlace {
  /** Name of the context; of the pod that this runs in, `in-cluster`. */
  readonly context: string;
  readonly namespace: string;
  readonly server: string;
}

type Library = typeof import('./kubernetesClient.ts');
/** Of the one with certificates: those of exec plugins change while a window lives. */
const dispatcherLifeMs = 60_000;
/** Of a request that a server has not looked at, as its connection was being ended. */
const mostTries = 4;
/** For a user who is asked for it. */
const loginMs = 60_000;
/** For a server to answer that it opens a stream. */
const handshakeMs = 20_000;
/** Between questions whether the other end of a stream is there, and for that to be taken as gone that does not answer. */
const beatMs = 10_000;
const silenceMs = 45_000;
/** Of what goes to a pod and comes from it, the newest first. */
const streamProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'v3.channel.k8s.io', 'channel.k8s.io'];

/** An API server by one context of a kubeconfig, and one namespace of it. */
export class KubernetesApi {
  readonly place: ApiPlace;
  readonly core: CoreV1Api;
  readonly batch: BatchV1Api;
  readonly apps: AppsV1Api;
  readonly custom: CustomObjectsApi;
  readonly authorization: AuthorizationV1Api;
  readonly authentication: AuthenticationV1Api;
  readonly version: VersionApi;
  readonly groups: ApisApi;
  readonly library: Library;
  readonly #config: KubeConfig;
  readonly #patient: Configuration;

  constructor(library: Library, config: KubeConfig, place: ApiPlace) {
    this.library = library;
    this.#config = config;
    this.place = place;
    // The library makes its clients so; theirs asks once only.
    const { made } = config.makeApiClient(
      class {
        readonly made: Configuration;

        constructor(made: Configuration) {
          this.made = made;
        }
      },
    );
    const { httpApi } = made;
    const send = (request: RequestContext) =>
      new library.Observable(persistent(() => httpApi.send(request).toPromise()));
    const patient = { ...made, httpApi: { send } };
    this.core = new library.CoreV1Api(patient);
    this.batch = new library.BatchV1Api(patient);
    this.apps = new library.AppsV1Api(patient);
    this.#patient = patient;
    this.custom = new library.CustomObjectsApi(patient);
    this.authorization = new library.AuthorizationV1Api(patient);
    this.authentication = new library.AuthenticationV1Api(patient);
    this.version = new library.VersionApi(patient);
    this.groups = new library.ApisApi(patient);
  }

  /**
   * Gets what the API server takes for a login. A program of the kubeconfig may ask the user for it, in a browser for
   * example; calls that come after have it.
   * @throws UserError if there is none
   */
  async login(): Promise<void> {
    await loggedIn(this.#config, this.#config.applyToHTTPSOptions({}));
  }

  get namespace(): string {
    return this.place.namespace;
  }

  /** Names of all that the kubeconfig has. */
  get contexts(): readonly string[] {
    return this.#config.getContexts().map(({ name }) => name);
  }

  /** Options of a call that ends with a signal. */
  until(signal: AbortSignal): ConfigurationOptions {
    return { middleware: [this.#ending(signal)], middlewareMergeStrategy: 'append' };
  }

  /** For objects of whichever kind; its calls end with a signal. Kinds are looked up once. */
  objects(signal: AbortSignal): KubernetesObjectApi {
    const { middleware } = this.#patient;
    return new this.library.KubernetesObjectApi({
      ...this.#patient,
      middleware: [...middleware, this.#ending(signal)],
    });
  }

  #ending(signal: AbortSignal): ObservableMiddleware {
    const { Observable } = this.library;
    const pre = (context: RequestContext) => {
      signal.throwIfAborted();
      context.setSignal(signal);
      return new Observable(Promise.resolve(context));
    };
    const post = (context: ResponseContext) => new Observable(Promise.resolve(context));
    return { pre, post };
  }

  /**
   * Hears of changes to what a path lists, from a version of the list on, till the connection ends or the signal aborts.
   * Rejects if the server refuses; 410 says that the version is too old.
   */
  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
    onEvent: (type: string, object: unknown) => void,
  ): Promise<void> {
    const watch = new this.library.Watch(this.#config);
    await new Promise<void>((resolve, reject) => {
      let stop: (() => void) | undefined;
      const onDone = (error: unknown) => {
        if (stop) signal.removeEventListener('abort', stop);
        // It ends its connection by itself after a silence.
        const isSilence = error instanceof DOMException && error.name === 'TimeoutError';
        if (error && !signal.aborted && !isSilence) reject(error);
        else resolve();
      };
      const opening = watch.watch(path, { allowWatchBookmarks: true, ...query }, onEvent, onDone);
      opening.then((connection) => {
        stop = () => connection.abort();
        signal.addEventListener('abort', stop, { once: true });
        if (signal.aborted) stop();
      }, reject);
    });
  }

  /** What a container has printed and prints, as text, till it ends or the signal aborts. Rejects if there is no log. */
  async log(
    pod: string,
    container: string,
    options: {
      readonly follow?: boolean;
      readonly tailLines?: number;
      readonly timestamps?: boolean;
      readonly previous?: boolean;
    },
    signal: AbortSignal,
  ): Promise<Readable> {
    const query = Object.entries({ container, ...options }).map(([key, value]): [string, string] => [
      key,
      String(value),
    ]);
    const path = `/api/v1/namespaces/${this.namespace}/pods/${pod}/log`;
    return this.#stream(path, new URLSearchParams(query), signal);
  }

  /** An answer that comes bit by bit. The library's own ends the process where its reader goes away. */
  async #stream(path: string, query: URLSearchParams, signal: AbortSignal): Promise<Readable> {
    const options: RequestOptions = { method: 'GET', signal };
    await this.#config.applyToHTTPSOptions(options);
    const url = new URL(`${this.place.server}${path}?${query}`);
    const ask = url.protocol === 'https:' ? askSecurely : askPlainly;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      ask(url, options, resolve).once('error', reject).end();
    });
    response.on('error', () => undefined); // its end tells
    const { statusCode = 0 } = response;
    if (statusCode === 200) return response;
    const body = await textOf(response);
    throw Object.assign(new Error(`the API server answers ${statusCode}`), { code: statusCode, body });
  }

  /**
   * Opens a WebSocket to a subresource of a pod. Its frames begin with the number of their stream, but in a tunnel.
   * @param path such as `exec?command=…`
   * @param tunnel that is rather had, where the server knows it
   */
  async connect(
    pod: string,
    path: string,
    onFrame: (stream: number, data: Buffer) => void,
    tunnel?: Tunnel,
  ): Promise<PodSocket> {
    const options: ClientOptions = {};
    await loggedIn(this.#config, this.#config.applyToHTTPSOptions(options));
    const url = `${this.place.server.replace(/^http/, 'ws')}/api/v1/namespaces/${this.namespace}/pods/${pod}/${path}`;
    const isSecure = url.startsWith('wss:');
    const socket = new WebSocket(url, streamProtocols, {
      ...options,
      perMessageDeflate: false,
      handshakeTimeout: handshakeMs,
      // Masks are for the sake of what reads along, which TLS keeps away; masking takes longer than all else here.
      ...(isSecure && { generateMask: () => undefined }),
      ...(tunnel && {
        finishRequest: (request) => {
          request.setHeader('Sec-WebSocket-Protocol', [tunnel.protocol, ...streamProtocols].join(', '));
          request.end();
        },
      }),
    });
    endInSilence(socket);
    let onMessage = (data: Buffer) => {
      if (data.length > 0) onFrame(data[0] ?? 0, data.subarray(1));
    };
    socket.on('message', (data: Buffer) => onMessage(data));
    socket.once('upgrade', ({ headers }) => {
      if (!tunnel || headers['sec-websocket-protocol'] !== tunnel.protocol) return;
      onMessage = tunnel.onData;
      tunnel.onOpen();
      // `ws` takes no name with a slash, neither asked for nor answered.
      headers['sec-websocket-protocol'] = streamProtocols[0];
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve).on('error', reject); // later ones are followed by `close`
    });
    return socket;
  }
}

/**
 * Ends a connection from whose other end nothing comes: a network that goes, as when a computer sleeps, says nothing. Servers
 * answer pings as they read: one that we still have something to send to may not have read that far.
 */
function endInSilence(socket: WebSocket): void {
  let heardMs = performance.now();
  const hear = () => {
    heardMs = performance.now();
  };
  socket.on('open', hear).on('message', hear).on('pong', hear);
  const timer = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.isPaused || socket.bufferedAmount > 0) hear();
    if (performance.now() - heardMs > silenceMs) socket.terminate();
    else socket.ping();
  }, beatMs);
  timer.unref();
  socket.once('close', () => clearInterval(timer));
}

/** What goes through a WebSocket without streams of its own. */
export interface Tunnel {
  readonly protocol: string;
  /** The server has it. */
  readonly onOpen: () => void;
  readonly onData: (data: Buffer) => void;
}

/** The part of `ws` that is used here. */
export type PodSocket = Pick<
  WebSocket,
  'bufferedAmount' | 'send' | 'close' | 'terminate' | 'pause' | 'resume' | 'on'
>;

/**
 * Finds the API server of a choice as `kubectl` does: KUBECONFIG, `~/.kube/config`, the pod that this runs in. Nothing is
 * asked of it yet.
 * @throws UserError `setting` if there is none
 */
export async function openKubernetes(choice: ApiChoice): Promise<KubernetesApi> {
  const library = await import('./kubernetesClient.ts');
  const config = pooled(new library.KubeConfig());
  try {
    if (choice.kubeconfig) config.loadFromFile(withHome(choice.kubeconfig));
    else config.loadFromDefault();
  } catch (error) {
    throw new UserError('setting', `The kubeconfig can't be read: ${(error as Error).message}`, {
      hint: 'Correct it, or name another one as kubeconfig of the executor.',
      action: executorSettings,
      cause: error,
    });
  }
  const names = config.getContexts().map(({ name }) => name);
  if (choice.context !== undefined) {
    if (!names.includes(choice.context)) {
      const there = names.length > 0 ? `; there are ${names.join(', ')}` : '';
      throw new UserError('setting', `The kubeconfig has no context "${choice.context}"${there}`, {
        hint: 'Choose one of its contexts.',
        action: executorSettings,
      });
    }
    config.setCurrentContext(choice.context);
  }
  const context = config.getCurrentContext();
  const server = config.getCurrentCluster()?.server;
  // What the library makes up where it finds nothing.
  const isNothing = names[0] === 'loaded-context' && server === 'http://localhost:8080';
  if (!server || isNothing) {
    throw new UserError('setting', 'There is no kubeconfig: no Kubernetes cluster is known here', {
      hint: 'Put one at ~/.kube/config, as tools such as kind, minikube and those of clouds do, or name it in the executor.',
      action: executorSettings,
    });
  }
  const namespace = choice.namespace ?? config.getContextObject(context)?.namespace ?? 'default';
  return new KubernetesApi(library, config, { context, namespace, server });
}

/** Names of the contexts that there are, and of the current one, as `kubectl` finds them. Nothing is asked of a server. */
export async function readContexts(): Promise<{
  readonly names: readonly string[];
  readonly current: string;
}> {
  const { place, contexts } = await openKubernetes({});
  return { names: contexts, current: place.context };
}

const withHome = (path: string) => path.replace(/^~(?=[/\\]|$)/, homedir());

/** Keeps connections over calls: the library makes new ones, and so new TLS, for each. */
function pooled(config: KubeConfig): KubeConfig {
  const apply = config.applySecurityAuthentication.bind(config);
  let kept:
    | { readonly dispatcher: ReturnType<RequestContext['getDispatcher']>; readonly untilMs: number }
    | undefined;
  config.applySecurityAuthentication = async (context: RequestContext) => {
    await loggedIn(config, apply(context));
    if (!kept || kept.untilMs < Date.now()) {
      kept = { dispatcher: context.getDispatcher(), untilMs: Date.now() + dispatcherLifeMs };
    }
    if (kept.dispatcher) context.setDispatcher(kept.dispatcher);
  };
  return config;
}

/**
 * Asks again what a server has not looked at: one that ends a connection for good order, as before its own restart, says by
 * GOAWAY which requests it has still taken. The library's `fetch` does that by itself for requests without a body.
 */
export async function persistent<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      const isRefused = cause instanceof Error && /"GOAWAY" frame received with code 0/.test(cause.message);
      if (!isRefused || tries === mostTries) throw error;
    }
  }
}

/** Gives a login its limit, and says where it fails that it is the login. */
async function loggedIn(config: KubeConfig, login: Promise<void>): Promise<void> {
  const context = config.getCurrentContext();
  const command: string | undefined = config.getCurrentUser()?.exec?.command;
  const by = command === undefined ? '' : ` by “${command}”`;
  const failed = (message: string, cause?: unknown) =>
    new UserError('not-permitted', message, {
      hint: 'Log in again, as your cloud has it; “kubectl get pods” tells whether that worked.',
      cause,
    });
  const late = () => failed(`The login to ${context}${by} has not ended within ${loginMs / 1000} s`);
  try {
    await within(login, loginMs, late);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && syscall?.startsWith('spawn')) {
      throw new UserError('setting', `The login to ${context} is made${by}, which is not found here`, {
        hint: 'Install it, or start VS Code where it is in the PATH.',
        cause: error,
      });
    }
    const [why = 'it says nothing'] = String((error as Error).message)
      .split('\n')
      .filter((line) => line.trim() !== '');
    throw failed(`The login to ${context}${by} fails: ${why.trim()}`, error);
  }
}

/** HTTP's code of an answer that refuses; undefined if the server has not answered. */
export function codeOf(error: unknown): number | undefined {
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  if (typeof code === 'number') return code;
  return typeof statusCode === 'number' ? statusCode : undefined;
}

/** What it resolves with; undefined if the server knows of no such thing. */
export function unlessGone<T>(call: Promise<T>): Promise<T | undefined> {
  return call.catch((error: unknown) => {
    if (codeOf(error) === 404) return undefined;
    throw error;
  });
}

/** What the server says of why it refuses, or what went wrong on the way to it. */
export function reasonOf(error: unknown): string {
  const { body, cause, message } = error as { body?: unknown; cause?: unknown; message?: string };
  const told = typeof body === 'string' ? parsed(body) : (body as { message?: unknown } | undefined);
  if (typeof told?.message === 'string' && told.message !== '') return told.message;
  if (cause instanceof Error && cause.message !== '') return cause.message;
  return (message ?? String(error)).split('\n')[0] ?? '';
}

function parsed(text: string): { message?: unknown } | undefined {
  try {
    return JSON.parse(text) as { message?: unknown };
  } catch {
    return undefined; // a proxy's page, for example
  }
}
