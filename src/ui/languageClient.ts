import { LanguageClient, State, TransportKind } from 'vscode-languageclient/node';
import type { FlowDef, FlowExecutors } from '../core/flow.ts';
import { within } from '../core/limit.ts';
import type { ClusterMaker, ReadLines } from '../core/written.ts';
import {
  EXECUTORS_REQUEST,
  FLOW_SEEN,
  FLOWS_REQUEST,
  type FlowsParams,
  LENS_STATE,
  type LensState,
  MAKERS_REQUEST,
  PASTED_REQUEST,
  type PastedParams,
} from '../protocol/lsp.ts';

/** The running language server, as the rest of the extension needs it. */
export interface FlowLanguage {
  setState(state: LensState): void;
  /** The flows of an open document. */
  flows(uri: string): Promise<FlowDef[]>;
  /** What these flows run on by themselves. */
  executors(uri: string): Promise<FlowExecutors[]>;
  /** What makes clusters in an open document. */
  clusterMakers(uri: string): Promise<ClusterMaker[]>;
  /** The executor that some lines of Python make. */
  pasted(code: string): Promise<ReadLines>;
  dispose(): Promise<void>;
}

export interface LanguageOptions {
  /** `dist/server.js` */
  readonly serverModule: string;
  readonly state: LensState;
  /** Documents of these schemes have flows: files, and those that become files when run. */
  readonly schemes: readonly string[];
  /** A document with at least one flow is open. */
  onFlowSeen(uri: string): void;
}

const startTimeoutMs = 30_000;

/**
 * Starts the language server as a child process. A bundle of its own, loaded with the first Python document:
 * the client library costs more to load than all the rest of the extension. Rejects if the server does not start.
 */
export async function startLanguageClient(options: LanguageOptions): Promise<FlowLanguage> {
  const run = { module: options.serverModule, transport: TransportKind.ipc };
  const client = new LanguageClient(
    'flowClusters',
    'Flow Clusters Language Server',
    { run, debug: run },
    { documentSelector: options.schemes.map((scheme) => ({ scheme, language: 'python' })) },
  );
  client.onNotification(FLOW_SEEN, ({ uri }: FlowsParams) => options.onFlowSeen(uri));
  let { state } = options;
  // Only fails while the server is down after a crash; it is told when it runs again.
  const send = () => void client.sendNotification(LENS_STATE, state).catch(() => undefined);
  // The first start, and each one after a crash: the server has forgotten everything then.
  client.onDidChangeState(({ newState }) => newState === State.Running && send());
  await within(client.start(), startTimeoutMs, () => new Error('The language server did not start in time'));
  return {
    setState: (next) => {
      state = next;
      send();
    },
    flows: (uri) => client.sendRequest<FlowDef[]>(FLOWS_REQUEST, { uri } satisfies FlowsParams),
    executors: (uri) => client.sendRequest<FlowExecutors[]>(EXECUTORS_REQUEST, { uri } satisfies FlowsParams),
    clusterMakers: (uri) => client.sendRequest<ClusterMaker[]>(MAKERS_REQUEST, { uri } satisfies FlowsParams),
    pasted: (code) => client.sendRequest<ReadLines>(PASTED_REQUEST, { code } satisfies PastedParams),
    dispose: () => client.dispose(),
  };
}
