import {
  type CodeLens,
  CodeLensRefreshRequest,
  type Connection,
  TextDocumentSyncKind,
  TextDocuments,
} from 'vscode-languageserver';
import type { FlowDef } from '../core/flow.ts';
import type { PythonParser } from '../flows/parser.ts';
import { FLOW_SEEN, FLOWS_REQUEST, type FlowsParams, LENS_STATE, type LensState } from '../protocol/lsp.ts';
import { PythonDocument } from './documents.ts';
import { lensesOf } from './lenses.ts';

/** What the lenses show until the editor says more. */
const INITIAL_STATE: LensState = { executor: 'local', enabled: true, lastRuns: {} };

/**
 * Serves flows and their lenses over a connection. Reads no files; one document's failure is logged and leaves
 * the others alone.
 * @param parser loads while the connection starts; if it rejects, requests answer empty and the log says why
 */
export function serve(connection: Connection, parser: Promise<PythonParser>): void {
  new FlowService(connection, parser).listen();
}

class FlowService {
  private readonly connection: Connection;
  private readonly parser: Promise<PythonParser>;
  private readonly documents = new TextDocuments<PythonDocument>({
    create: (uri, languageId, version, content) => new PythonDocument(uri, languageId, version, content),
    update: (document, changes, version) => document.update(changes, version),
  });
  private state = INITIAL_STATE;
  private canRefresh = false;
  /** Documents already reported by {@link FLOW_SEEN}. */
  private readonly seen = new Set<string>();

  constructor(connection: Connection, parser: Promise<PythonParser>) {
    this.connection = connection;
    this.parser = parser;
  }

  listen(): void {
    const { connection, documents } = this;
    connection.onInitialize(({ capabilities }) => {
      this.canRefresh = capabilities.workspace?.codeLens?.refreshSupport === true;
      return {
        capabilities: {
          textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
          codeLensProvider: { resolveProvider: false },
        },
      };
    });
    connection.onCodeLens(({ textDocument }) => this.lenses(textDocument.uri));
    connection.onRequest(FLOWS_REQUEST, ({ uri }: FlowsParams) => this.flows(uri));
    connection.onNotification(LENS_STATE, (state: LensState) => this.show(state));
    documents.onDidOpen(({ document }) => void this.flows(document.uri));
    documents.onDidClose(({ document }) => this.seen.delete(document.uri));
    documents.listen(connection);
    connection.listen();
    this.parser.catch((error) => this.log('The Python parser did not load', error));
  }

  private async lenses(uri: string): Promise<CodeLens[]> {
    const flows = await this.flows(uri);
    return lensesOf(uri, flows, this.state);
  }

  /** The flows of an open document; none if it is not open or can't be read. Never rejects. */
  private async flows(uri: string): Promise<readonly FlowDef[]> {
    try {
      const parser = await this.parser;
      const flows = this.documents.get(uri)?.flows(parser) ?? [];
      if (flows.length > 0 && !this.seen.has(uri)) {
        this.seen.add(uri);
        await this.connection.sendNotification(FLOW_SEEN, { uri });
      }
      return flows;
    } catch (error) {
      this.log(`No flows for ${uri}`, error);
      return [];
    }
  }

  private async show(state: LensState): Promise<void> {
    this.state = state;
    if (!this.canRefresh) return;
    try {
      await this.connection.sendRequest(CodeLensRefreshRequest.type);
    } catch (error) {
      this.log('The editor did not refresh its lenses', error);
    }
  }

  private log(what: string, error: unknown): void {
    this.connection.console.error(
      `${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
    );
  }
}
