import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import {
  CodeLensRequest,
  createProtocolConnection,
  DidOpenTextDocumentNotification,
  ExitNotification,
  InitializedNotification,
  InitializeRequest,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-languageserver/node';

const resolve = createRequire(__filename).resolve;

describe('language server process', () => {
  let directory: string;
  let child: ChildProcess | undefined;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flow-clusters-server-'));
    await build({
      entryPoints: [join(__dirname, '../../src/server/main.ts')],
      outfile: join(directory, 'server.js'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      // As in esbuild.config.mjs: the CommonJS build of the package.
      alias: { 'web-tree-sitter': resolve('web-tree-sitter') },
      logLevel: 'silent',
    });
    await copyFile(resolve('web-tree-sitter/web-tree-sitter.wasm'), join(directory, 'web-tree-sitter.wasm'));
    await copyFile(
      resolve('tree-sitter-python/tree-sitter-python.wasm'),
      join(directory, 'tree-sitter-python.wasm'),
    );
  });

  after(async () => {
    child?.kill('SIGKILL');
    await rm(directory, { recursive: true });
  });

  it('serves lenses from its bundle over stdio, and exits when told to', async () => {
    child = spawn(process.execPath, [join(directory, 'server.js'), '--stdio'], { stdio: 'pipe' });
    const { stdin, stdout } = child;
    assert.ok(stdin && stdout);
    const exited = once(child, 'exit');
    const editor = createProtocolConnection(new StreamMessageReader(stdout), new StreamMessageWriter(stdin));
    editor.listen();
    await editor.sendRequest(InitializeRequest.type, {
      processId: process.pid,
      rootUri: null,
      capabilities: {},
    });
    await editor.sendNotification(InitializedNotification.type, {});
    const uri = 'untitled:etl.py';
    const text = 'import prefect\n\n@prefect.flow\ndef etl(): ...\n';
    await editor.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId: 'python', version: 1, text },
    });
    const lenses = await editor.sendRequest(CodeLensRequest.type, { textDocument: { uri } });
    assert.deepEqual(
      lenses?.map((lens) => lens.command?.title),
      ['▶ Run with local', 'Run with…'],
    );
    await editor.sendRequest(ShutdownRequest.type);
    await editor.sendNotification(ExitNotification.type);
    assert.deepEqual(await exited, [0, null]);
    editor.dispose();
  });
});
