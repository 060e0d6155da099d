import {
  type CodeAction,
  CodeActionKind,
  type CodeLens,
  CodeLensRefreshRequest,
  type Connection,
  type Diagnostic,
  DiagnosticRefreshRequest,
  DocumentDiagnosticReportKind,
  type ProtocolRequestType0,
  type Range,
  TextDocumentSyncKind,
  TextDocuments,
} from 'vscode-languageserver';
import type { FlowDef, FlowExecutors } from '../core/flow.ts';
import type { ClusterMaker, ReadLines } from '../core/written.ts';
import type { PythonParser } from '../flows/parser.ts';
import { pastedExecutor } from '../flows/pasted.ts';
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
import { diagnosticsOf, fixesOf, savesOf } from './diagnostics.ts';
import { PythonDocument } from './documents.ts';
import { lensesOf, makerLensesOf } from './lenses.ts';

/** What the lenses show until the editor says more. */
const INITIAL_STATE: LensState = { executor: 'local', enabled: true, diagnostics: true, lastRuns: {} };

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
  private canRefreshDiagnostics = false;
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
      this.canRefreshDiagnostics = capabilities.workspace?.diagnostics?.refreshSupport === true;
      return {
        capabilities: {
          textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
          codeLensProvider: { resolveProvider: false },
          // Asked for, not sent: the editor asks for what is on screen, when typing pauses.
          diagnosticProvider: { interFileDependencies: false, workspaceDiagnostics: false },
          codeActionProvider: {
            codeActionKinds: [CodeActionKind.QuickFix, CodeActionKind.RefactorExtract],
          },
        },
      };
    });
    connection.onCodeLens(({ textDocument }) => this.lenses(textDocument.uri));
    connection.languages.diagnostics.on(async ({ textDocument }) => ({
      kind: DocumentDiagnosticReportKind.Full,
      items: await this.diagnostics(textDocument.uri),
    }));
    connection.onCodeAction(({ textDocument, range }) => this.actions(textDocument.uri, range));
    connection.onRequest(EXECUTORS_REQUEST, ({ uri }: FlowsParams) => this.executors(uri));
    connection.onRequest(MAKERS_REQUEST, ({ uri }: FlowsParams) => this.clusterMakers(uri));
    connection.onRequest(FLOWS_REQUEST, ({ uri }: FlowsParams) => this.flows(uri));
    connection.onRequest<ReadLines, void>(PASTED_REQUEST, ({ code }: PastedParams) => this.pasted(code));
    connection.onNotification(LENS_STATE, (state: LensState) => this.show(state));
    documents.onDidOpen(({ document }) => void this.flows(document.uri));
    documents.onDidClose(({ document }) => this.seen.delete(document.uri));
    documents.listen(connection);
    connection.listen();
    this.parser.catch((error) => this.log('The Python parser did not load', error));
  }

  private async lenses(uri: string): Promise<CodeLens[]> {
    const flows = await this.flows(uri);
    const makers = await this.clusterMakers(uri);
    return [...lensesOf(uri, flows, this.state), ...makerLensesOf(uri, makers, this.state)];
  }

  private diagnostics(uri: string): Promise<Diagnostic[]> {
    if (!this.state.diagnostics) return Promise.resolve([]);
    return this.read(uri, 'diagnostics', diagnosticsOf);
  }

  /** What one kind lacks takes the other not along. */
  private async actions(uri: string, range: Range): Promise<CodeAction[]> {
    const fixes = this.state.diagnostics
      ? this.read(uri, 'quick fixes', (document, parser) => fixesOf(document, parser, range))
      : [];
    const saves = this.read(uri, 'executors to save', (document, parser) => savesOf(document, parser, range));
    return [...(await fixes), ...(await saves)];
  }

  private executors(uri: string): Promise<readonly FlowExecutors[]> {
    return this.read(uri, 'executors', (document, parser) => document.executors(parser));
  }

  private clusterMakers(uri: string): Promise<readonly ClusterMaker[]> {
    return this.read(uri, 'clusters', (document, parser) => document.clusterMakers(parser));
  }

  /** Never rejects. */
  private async pasted(code: string): Promise<ReadLines> {
    try {
      return pastedExecutor(await this.parser, code);
    } catch (error) {
      this.log('No executor for pasted code', error);
      return { problem: 'It could not be read: the log “Flow Clusters Language Server” says why.' };
    }
  }

  /** Something of an open document; nothing if it is not open or can't be read. Never rejects. */
  private async read<T>(
    uri: string,
    what: string,
    read: (document: PythonDocument, parser: PythonParser) => readonly T[],
  ): Promise<T[]> {
    try {
      const parser = await this.parser;
      const document = this.documents.get(uri);
      return document ? [...read(document, parser)] : [];
    } catch (error) {
      this.log(`No ${what} for ${uri}`, error);
      return [];
    }
  }

  /** The flows of an open document; none if it is not open or can't be read. Never rejects. */
  private async flows(uri: string): Promise<readonly FlowDef[]> {
    const flows = await this.read(uri, 'flows', (document, parser) => document.flows(parser));
    if (flows.length > 0 && !this.seen.has(uri)) {
      this.seen.add(uri);
      await this.connection.sendNotification(FLOW_SEEN, { uri });
    }
    return flows;
  }

  private async show(state: LensState): Promise<void> {
    const changed = state.diagnostics !== this.state.diagnostics;
    this.state = state;
    if (changed && this.canRefreshDiagnostics)
      await this.refresh(DiagnosticRefreshRequest.type, 'diagnostics');
    if (this.canRefresh) await this.refresh(CodeLensRefreshRequest.type, 'lenses');
  }

  private async refresh(request: ProtocolRequestType0<void, void, void, void>, what: string): Promise<void> {
    try {
      await this.connection.sendRequest(request);
    } catch (error) {
      this.log(`The editor did not refresh its ${what}`, error);
    }
  }

  private log(what: string, error: unknown): void {
    this.connection.console.error(
      `${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
    );
  }
}
