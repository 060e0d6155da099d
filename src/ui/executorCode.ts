import * as vscode from 'vscode';
import { UserError } from '../core/errors.ts';
import { type CodeApi, executorCode, whyNoCode } from '../core/executorCode.ts';
import type { Store } from '../core/store.ts';
import { executorForCode } from './certificates.ts';

const apis: Readonly<Record<CodeApi, string>> = {
  prefect3: 'Prefect 2 and 3: DaskTaskRunner',
  prefect1: 'Prefect 1: flow.executor',
  dask: 'Dask: Client and cluster',
};
const shownMs = 5_000;

export interface ExecutorCodeOptions {
  readonly store: Store;
  readonly log: vscode.LogOutputChannel;
}

/**
 * Puts an executor into the clipboard as the lines of Python that do the same without this extension.
 * @param chosen its name; undefined: the user picks
 */
export async function copyExecutorCode({ store, log }: ExecutorCodeOptions, chosen?: string): Promise<void> {
  const { executors } = store.snapshot.executors;
  const names = executors.map(({ name }) => name);
  const name = chosen ?? (await vscode.window.showQuickPick(names, { title: 'Which executor as code?' }));
  const executor = executors.find((one) => one.name === name);
  if (!executor) return;
  const ready = executorForCode(executor, log);
  const items = Object.entries(apis).flatMap(([api, label]) => {
    const code = executorCode(ready, api as CodeApi);
    return code === undefined ? [] : [{ label, code }];
  });
  if (items.length === 0) {
    throw new UserError('setting', `There is no code that does what the executor ${executor.name} does`, {
      hint: whyNoCode(ready, 'dask') ?? '',
    });
  }
  const title = `${executor.name} as code for…`;
  const item = items.length === 1 ? items[0] : await vscode.window.showQuickPick(items, { title });
  if (!item) return;
  await vscode.env.clipboard.writeText(`${item.code}\n`);
  vscode.window.setStatusBarMessage(`Code for ${executor.name} is in the clipboard`, shownMs);
}
