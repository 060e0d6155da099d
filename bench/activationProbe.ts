import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as vscode from 'vscode';

/** Called by VS Code in a fresh extension host: times loading and activating the built extension, once. */
export async function run(): Promise<void> {
  const extension = vscode.extensions.getExtension('flow-clusters.flow-clusters');
  const out = process.env.FLOW_CLUSTERS_BENCH_OUT;
  if (!extension || !out) throw new Error('the extension or FLOW_CLUSTERS_BENCH_OUT is missing');
  if (extension.isActive) throw new Error('the extension is active already: nothing to time');
  const main = join(extension.extensionPath, 'dist', 'extension.js');
  const began = performance.now();
  const require = createRequire(main);
  const exports = require(main) as { activate(context: vscode.ExtensionContext): unknown };
  const loaded = performance.now();
  // VS Code finds the module in the cache then; what it calls is timed apart from its own round trips.
  let activateMs = Number.NaN;
  const activate = (context: vscode.ExtensionContext) => {
    const called = performance.now();
    const result = exports.activate(context);
    activateMs = performance.now() - called;
    return result;
  };
  const cached = require.cache[require.resolve(main)];
  if (cached) cached.exports = { ...exports, activate };
  await extension.activate();
  const totalMs = performance.now() - loaded;
  appendFileSync(
    out,
    `${JSON.stringify({ loadMs: loaded - began, activateMs, totalMs, node: process.version })}\n`,
  );
}
