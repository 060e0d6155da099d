import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import {
  type CodeLens,
  CodeLensRefreshRequest,
  CodeLensRequest,
  createConnection,
  createProtocolConnection,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  InitializedNotification,
  InitializeRequest,
  LogMessageNotification,
  type ProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type TextDocumentContentChangeEvent,
} from 'vscode-languageserver/node';
import type { FlowDef } from '../../src/core/flow.ts';
import type { PythonParser } from '../../src/flows/parser.ts';
import { Commands } from '../../src/protocol/commands.ts';
import { FLOW_SEEN, FLOWS_REQUEST, flowKey, LENS_STATE, type LensState } from '../../src/protocol/lsp.ts';
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
    this.connection.listen();
  }

  static async start(
    options: { parser?: Promise<PythonParser>; refreshSupport?: boolean } = {},
  ): Promise<Editor> {
    const editor = new Editor(options.parser ?? testParser());
    await editor.connection.sendRequest(InitializeRequest.type, {
      processId: null,
      rootUri: null,
      capabilities: { workspace: { codeLens: { refreshSupport: options.refreshSupport ?? true } } },
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

  async titles(uri: string): Promise<string[]> {
    return (await this.lenses(uri)).map((lens) => `${lens.range.start.line}: ${lens.command?.title}`);
  }
}

function at(line: number, character: number, text: string, length = 0): TextDocumentContentChangeEvent {
  return { range: { start: { line, character }, end: { line, character: character + length } }, text };
}

describe('language server', () => {
  const uri = 'file:///work/etl.py';
  let editor: Editor;
  afterEach(() => editor.connection.dispose());

  it('offers to run a flow with the executor "local" before the editor has said a word', async () => {
    editor = await Editor.start();
    await editor.open(uri, SOURCE);
    assert.deepEqual(await editor.titles(uri), ['3: ▶ Run with local', '3: Run with…']);
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
