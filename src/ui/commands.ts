import * as vscode from 'vscode';
import type { CommandId } from '../protocol/commands.ts';
import { showError } from './messages.ts';

// biome-ignore lint/suspicious/noExplicitAny: VS Code hands over whatever the caller of a command gave.
export type Handlers = Readonly<Record<CommandId, (...args: any[]) => unknown>>;

/** Registers every command. Here, at the border, an error is shown once, with its next step. */
export function registerCommands(handlers: Handlers, log: vscode.LogOutputChannel): vscode.Disposable {
  const registered = Object.entries(handlers).map(([id, handler]) =>
    vscode.commands.registerCommand(id, async (...args: unknown[]) => {
      log.debug(`command ${id}`);
      try {
        return await handler(...args);
      } catch (error) {
        // Not awaited: the command is over, its message may stay until the user has read it.
        void showError(error, log);
        return undefined;
      }
    }),
  );
  return vscode.Disposable.from(...registered);
}
