import * as vscode from 'vscode';

/** Does work once, now or when the workspace becomes trusted. `work` never rejects. */
export function whenTrusted(work: () => Promise<void>): vscode.Disposable {
  if (!vscode.workspace.isTrusted) return vscode.workspace.onDidGrantWorkspaceTrust(() => void work());
  void work();
  return new vscode.Disposable(() => undefined);
}
