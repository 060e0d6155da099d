import { createConnection, ProposedFeatures } from 'vscode-languageserver/node';
import { createParser, wasmFilesIn } from '../flows/parser.ts';
import { warmUp } from '../flows/warmUp.ts';
import { serve } from './service.ts';

// The process of the language server. How to talk (`--node-ipc`, `--stdio`) comes on the command line;
// the WebAssembly files lie beside the bundle.
const connection = createConnection(ProposedFeatures.all);
const parser = createParser(wasmFilesIn(__dirname));
serve(connection, parser);
parser.then(warmUp).catch((error) => connection.console.warn(`Not warmed up: ${error}`));
