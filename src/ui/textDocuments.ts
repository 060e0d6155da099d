import * as vscode from 'vscode';

/** Read-only documents of one scheme, whose texts live as long as they are open. */
export class TextDocuments implements vscode.Disposable {
  readonly #scheme: string;
  /** By their address. */
  readonly #texts = new Map<string, string>();
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly #registered: vscode.Disposable;

  /** @param forgotten what an editor shows that a window opens again */
  constructor(scheme: string, forgotten: string) {
    this.#scheme = scheme;
    this.#registered = vscode.Disposable.from(
      this.#changed,
      vscode.workspace.registerTextDocumentContentProvider(scheme, {
        onDidChange: this.#changed.event,
        provideTextDocumentContent: (uri) => this.#texts.get(uri.toString()) ?? forgotten,
      }),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => void this.#texts.delete(uri.toString())),
    );
  }

  dispose(): void {
    this.#registered.dispose();
  }

  /** The address of a document with that text; the one that has that path already changes. */
  put(path: string, text: string): vscode.Uri {
    const uri = vscode.Uri.from({ scheme: this.#scheme, path });
    this.#texts.set(uri.toString(), text);
    this.#changed.fire(uri);
    return uri;
  }
}
