import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import {
  type CodeAction,
  CodeActionRequest,
  type CodeLens,
  CodeLensRefreshRequest,
  CodeLensRequest,
  createConnection,
  createProtocolConnection,
  type Diagnostic,
  DiagnosticRefreshRequest,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  DocumentDiagnosticRequest,
  InitializedNotification,
  InitializeRequest,
  LogMessageNotification,
  type ProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type TextDocumentContentChangeEvent,
} from 'vscode-languageserver/node';
import type { FlowDef, FlowExecutors } from '../../src/core/flow.ts';
import type { ClusterMaker } from '../../src/core/written.ts';
import type { PythonParser } from '../../src/flows/parser.ts';
import { Commands } from '../../src/protocol/commands.ts';
import {
  EXECUTORS_REQUEST,
  FLOW_SEEN,
  FLOWS_REQUEST,
  flowKey,
  LENS_STATE,
  type LensState,
  MAKERS_REQUEST,
} from '../../src/protocol/lsp.ts';
import { serve } from '../../src/server/service.ts';
import { testParser } from '../unit/flows/python.ts';

const SOURCE = `from prefect import flow


@flow
def etl(day: str, rows: int = 3):
    return rows
`;

/** An editor at the other end of two in-memory streams. */
class Editor {
  readonly seen: string[] = [];
  readonly errors: string[] = [];
  refreshes = 0;
  diagnosticRefreshes = 0;
  readonly connection: ProtocolConnection;
  private version = 1;

  private constructor(parser: Promise<PythonParser>) {
    const up = new PassThrough();
    const down = new PassThrough();
    serve(createConnection(new StreamMessageReader(up), new StreamMessageWriter(down)), parser);
    this.connection = createProtocolConnection(new StreamMessageReader(down), new StreamMessageWriter(up));
    this.connection.onNotification(FLOW_SEEN, ({ uri }: { uri: string }) => void this.seen.push(uri));
    this.connection.onNotification(
      LogMessageNotification.type,
      ({ message }) => void this.errors.push(message),
    );
    this.connection.onRequest(CodeLensRefreshRequest.type, () => void this.refreshes++);
    this.connection.onRequest(DiagnosticRefreshRequest.type, () => void this.diagnosticRefreshes++);
    this.connection.listen();
  }

  static async start(
    options: { parser?: Promise<PythonParser>; refreshSupport?: boolean } = {},
  ): Promise<Editor> {
    const editor = new Editor(options.parser ?? testParser());
    await editor.connection.sendRequest(InitializeRequest.type, {
      processId: null,
      rootUri: null,
      capabilities: {
        workspace: {
          codeLens: { refreshSupport: options.refreshSupport ?? true },
          diagnostics: { refreshSupport: options.refreshSupport ?? true },
        },
      },
    });
    await editor.connection.sendNotification(InitializedNotification.type, {});
    return editor;
  }

  open(uri: string, text: string): Promise<void> {
    const textDocument = { uri, languageId: 'python', version: this.version, text };
    return this.connection.sendNotification(DidOpenTextDocumentNotification.type, { textDocument });
  }

  change(uri: string, ...contentChanges: TextDocumentContentChangeEvent[]): Promise<void> {
    const textDocument = { uri, version: ++this.version };
    return this.connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument,
      contentChanges,
    });
  }

  async lenses(uri: string): Promise<CodeLens[]> {
    return (await this.connection.sendRequest(CodeLensRequest.type, { textDocument: { uri } })) ?? [];
  }

  async diagnostics(uri: string): Promise<Diagnostic[]> {
    const report = await this.connection.sendRequest(DocumentDiagnosticRequest.type, {
      textDocument: { uri },
    });
    assert.equal(report.kind, 'full');
    return report.kind === 'full' ? report.items : [];
  }

  /** What the light bulb offers on a line. */
  async actions(uri: string, line: number): Promise<CodeAction[]> {
    const range = { start: { line, character: 0 }, end: { line, character: 200 } };
    const params = { textDocument: { uri }, range, context: { diagnostics: [] } };
    return ((await this.connection.sendRequest(CodeActionRequest.type, params)) ?? []) as CodeAction[];
  }

  async titles(uri: string): Promise<string[]> {
    return (await this.lenses(uri)).map((lens) => `${lens.range.start.line}: ${lens.command?.title}`);
  }
}

function at(line: number, character: number, text: string, length = 0): TextDocumentContentChangeEvent {
  return { range: { start: { line, character }, end: { line, character: character + length } }, text };
}

const WRONG = `from prefect import flow
from prefect_dask import DaskTaskRunner


@flow(task_runner=DaskTaskRunner(address="tcp://dask:8787"))
def etl():
    pass
`;

describe('language server: what flows say of their clusters', () => {
  const uri = 'file:///work/etl.py';
  let editor: Editor;
  beforeEach(async () => {
    editor = await Editor.start();
    await editor.open(uri, WRONG);
  });
  afterEach(() => editor.connection.dispose());

  it('shows a mistake at its place, with its entry in the docs, and mends it', async () => {
    const [diagnostic, ...others] = await editor.diagnostics(uri);
    assert.deepEqual(others, []);
    assert.deepEqual(diagnostic?.range, {
      start: { line: 4, character: 33 },
      end: { line: 4, character: 58 },
    });
    assert.equal(diagnostic?.code, 'dashboard-address');
    assert.match(diagnostic?.codeDescription?.href ?? '', /\/docs\/diagnostics\.md#dashboard-address$/);
    const [fix] = await editor.actions(uri, 4);
    assert.equal(fix?.title, 'Use tcp://dask:8786');
    assert.deepEqual(fix?.diagnostics, [diagnostic]);
    assert.deepEqual(
      fix?.edit?.changes?.[uri]?.map(({ newText }) => newText),
      ['"tcp://dask:8786"'],
    );
    assert.deepEqual(await editor.actions(uri, 1), []);
  });

  it('offers to run it as written', async () => {
    const lenses = await editor.lenses(uri);
    assert.deepEqual(
      lenses.map(({ command }) => command?.title),
      ['▶ Run with local', 'Run with…', 'Run as written', 'Configure…'],
    );
    assert.equal(lenses[2]?.command?.command, Commands.runFlowAsWritten);
  });

  it('offers to save the executor that stands there', async () => {
    const save = (await editor.actions(uri, 4)).find(({ title }) => title === 'Save as Executor…');
    assert.equal(save?.command?.command, Commands.saveExecutor);
    const [flow] = await editor.connection.sendRequest<FlowDef[]>(FLOWS_REQUEST, { uri });
    assert.deepEqual(flow?.written, { type: 'DaskTaskRunner', from: 'flow' });
    assert.deepEqual(save?.command?.arguments, [{ uri, flow }, 0]);
    const [found] = await editor.connection.sendRequest<FlowExecutors[]>(EXECUTORS_REQUEST, { uri });
    assert.deepEqual(found?.executors[0]?.address, { value: 'tcp://dask:8787' });
  });

  it('offers to save any cluster class, but none that only the running file has', async () => {
    const offers = async (name: string, lines: string, line: number) => {
      const own = `file:///work/${name}.py`;
      await editor.open(own, lines);
      return (await editor.actions(own, line)).map(({ title }) => title);
    };
    const slurm = 'from dask_jobqueue import SLURMCluster\n\ncluster = SLURMCluster(cores=4)\n';
    assert.deepEqual(await offers('slurm', slurm, 2), ['Save as Executor…']);
    const runner = (cluster: string) =>
      `from prefect import flow\nfrom prefect_dask import DaskTaskRunner\n\ndef make():\n    return Mine()\n\n@flow(task_runner=DaskTaskRunner(cluster_class=${cluster}))\ndef etl():\n    pass\n`;
    assert.deepEqual(await offers('own', runner('make'), 6), ['Save as Executor…']);
    assert.deepEqual(await offers('unnamed', runner('lambda: make()'), 6), []);
  });

  it('follows what is typed, and is silent when the user wants that', async () => {
    await editor.change(uri, at(4, 56, '6', 1));
    assert.deepEqual(await editor.diagnostics(uri), []);
    await editor.change(uri, at(4, 56, '7', 1));
    assert.equal((await editor.diagnostics(uri)).length, 1);
    const state: LensState = { executor: 'local', enabled: true, diagnostics: false, lastRuns: {} };
    await editor.connection.sendNotification(LENS_STATE, state);
    assert.deepEqual(await editor.diagnostics(uri), []);
    assert.equal(editor.diagnosticRefreshes, 1);
    assert.deepEqual(
      (await editor.actions(uri, 4)).map(({ title }) => title),
      ['Save as Executor…'],
    );
  });

  it('says nothing of documents that are not open', async () => {
    assert.deepEqual(await editor.diagnostics('file:///other.py'), []);
    assert.deepEqual(await editor.actions('file:///other.py', 0), []);
  });
});

describe('language server', () => {
  const uri = 'file:///work/etl.py';
  let editor: Editor;
  afterEach(() => editor.connection.dispose());

  it('offers to run a flow with the executor "local" before the editor has said a word', async () => {
    editor = await Editor.start();
    await editor.open(uri, SOURCE);
    assert.deepEqual(await editor.titles(uri), ['3: ▶ Run with local', '3: Run with…']);
  });

  it('offers what makes clusters as a cluster, beside the flows', async () => {
    editor = await Editor.start();
    const makes = 'from distributed import LocalCluster\n\n\ndef make(n):\n    return LocalCluster(n)\n\n\n';
    await editor.open(uri, makes + SOURCE);
    assert.deepEqual(await editor.titles(uri), [
      '10: ▶ Run with local',
      '10: Run with…',
      '3: Use as cluster',
    ]);
    const [maker] = await editor.connection.sendRequest<ClusterMaker[]>(MAKERS_REQUEST, { uri });
    assert.deepEqual(maker?.needs, ['n']);
    const lens = (await editor.lenses(uri)).find(({ command }) => command?.title === 'Use as cluster');
    assert.equal(lens?.command?.command, Commands.useAsCluster);
    assert.deepEqual(lens?.command?.arguments, [{ uri, maker }]);
  });

  it('gives each lens command the flow and its document', async () => {
    editor = await Editor.start();
    await editor.open(uri, SOURCE);
    const flow: FlowDef = {
      api: 'prefect',
      name: 'etl',
      entry: { how: 'import', path: 'etl' },
      line: 3,
      parameters: [
        { name: 'day', annotation: 'str' },
        { name: 'rows', annotation: 'int', default: '3' },
      ],
    };
    const [run, runWith] = await editor.lenses(uri);
    assert.equal(run?.command?.command, Commands.runFlow);
    assert.equal(runWith?.command?.command, Commands.runFlowWith);
    assert.deepEqual(run?.command?.arguments, [{ uri, flow }]);
    assert.deepEqual(runWith?.command?.arguments, [{ uri, flow }]);
    assert.deepEqual(await editor.connection.sendRequest(FLOWS_REQUEST, { uri }), [flow]);
  });

  it('shows the executor and the last run that the editor tells of, and asks it to refresh', async () => {
    editor = await Editor.start();
    await editor.open(uri, SOURCE);
    const key = flowKey(uri, { entry: { how: 'import', path: 'etl' } });
    const state: LensState = {
      executor: 'laptop',
      enabled: true,
      diagnostics: true,
      lastRuns: { [key]: { runId: 'r1', label: '✓ completed · 00:31' } },
    };
    await editor.connection.sendNotification(LENS_STATE, state);
    const lenses = await editor.lenses(uri);
    assert.deepEqual(
      lenses.map((lens) => lens.command?.title),
      ['▶ Run with laptop', 'Run with…', '✓ completed · 00:31'],
    );
    assert.equal(lenses[2]?.command?.command, Commands.showRun);
    assert.deepEqual(lenses[2]?.command?.arguments, ['r1']);
    assert.equal(editor.refreshes, 1);
    await editor.connection.sendNotification(LENS_STATE, { ...state, enabled: false });
    assert.deepEqual(await editor.titles(uri), []);
  });

  it('does not ask an editor to refresh that can not', async () => {
    editor = await Editor.start({ refreshSupport: false });
    await editor.open(uri, SOURCE);
    await editor.connection.sendNotification(LENS_STATE, { executor: 'x', enabled: true, lastRuns: {} });
    assert.deepEqual(await editor.titles(uri), ['3: ▶ Run with x', '3: Run with…']);
    assert.equal(editor.refreshes, 0);
  });

  it('follows incremental changes, behind characters outside the basic plane too', async () => {
    editor = await Editor.start();
    await editor.open(uri, `GREETING = "😀é"\n${SOURCE}`);
    await editor.change(uri, at(0, 14, '; x = "𝒳"'), at(0, 0, '# a comment\n'));
    await editor.change(uri, at(6, 4, 'load', 3));
    const [flow] = await editor.connection.sendRequest<FlowDef[]>(FLOWS_REQUEST, { uri });
    assert.equal(flow?.name, 'load');
    assert.equal(flow?.line, 5);
  });

  it('keeps lenses while a decorator is half typed', async () => {
    editor = await Editor.start();
    await editor.open(uri, SOURCE);
    await editor.lenses(uri);
    await editor.change(uri, at(3, 5, '('));
    assert.deepEqual(await editor.titles(uri), ['3: ▶ Run with local', '3: Run with…']);
  });

  it('takes a change of the whole text as an edit', async () => {
    editor = await Editor.start();
    await editor.open(uri, SOURCE);
    await editor.lenses(uri);
    await editor.change(uri, { text: `\n${SOURCE.replace('@flow', '@flow(')}` });
    assert.deepEqual(await editor.titles(uri), ['4: ▶ Run with local', '4: Run with…']);
  });

  it('tells once for each opening that a document has flows', async () => {
    editor = await Editor.start();
    await editor.open('file:///a.py', 'x = 1\n');
    await editor.open(uri, SOURCE);
    await editor.lenses(uri);
    await editor.lenses('file:///a.py');
    assert.deepEqual(editor.seen, [uri]);
    await editor.connection.sendNotification(DidCloseTextDocumentNotification.type, {
      textDocument: { uri },
    });
    await editor.open(uri, SOURCE);
    await editor.lenses(uri);
    assert.deepEqual(editor.seen, [uri, uri]);
  });

  it('serves untitled and remote documents, and names a script by its decoded file name', async () => {
    editor = await Editor.start();
    const script = 'from dask.distributed import Client\nclient = Client()\n';
    const names: string[] = [];
    for (const each of ['untitled:Untitled-1', 'vscode-remote://ssh-remote%2Bbox/home/a/my%20job.py']) {
      await editor.open(each, script);
      const flows = await editor.connection.sendRequest<FlowDef[]>(FLOWS_REQUEST, { uri: each });
      names.push(...flows.map((flow) => flow.name));
    }
    assert.deepEqual(names, ['Untitled-1', 'my job.py']);
  });

  it('answers empty for a document that is not open', async () => {
    editor = await Editor.start();
    assert.deepEqual(await editor.titles('file:///nowhere.py'), []);
  });

  it('logs a document that can not be read and goes on serving others', async () => {
    const real = await testParser();
    const parser: PythonParser = {
      read(text, read) {
        if (text.includes('poison')) throw new Error('no tree');
        return real.read(text, read);
      },
    };
    editor = await Editor.start({ parser: Promise.resolve(parser) });
    await editor.open('file:///bad.py', SOURCE.replace('etl', 'poison'));
    await editor.open(uri, SOURCE);
    assert.deepEqual(await editor.titles('file:///bad.py'), []);
    assert.deepEqual(await editor.titles(uri), ['3: ▶ Run with local', '3: Run with…']);
    assert.match(editor.errors[0] ?? '', /file:\/\/\/bad\.py.*no tree/);
  });

  it('says why when the parser does not load', async () => {
    const parser = Promise.reject(new Error('no such file: tree-sitter-python.wasm'));
    editor = await Editor.start({ parser });
    await editor.open(uri, SOURCE);
    assert.deepEqual(await editor.titles(uri), []);
    assert.match(editor.errors[0] ?? '', /parser.*tree-sitter-python\.wasm/);
  });
});
