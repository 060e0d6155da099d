import * as vscode from 'vscode';
import { LineEditor } from '../core/lineEditor.ts';
import type { RunOutput } from '../runs/output.ts';

interface Entry {
  readonly terminal: vscode.Terminal;
  readonly pty: RunTerminal;
}

/** What is done with what the user types into the terminal of a live run. */
export interface RunKeys {
  /** One or more whole lines. */
  input(runId: string, text: string): void;
  /** Ctrl-D on an empty line. */
  endInput(runId: string): void;
  /** Ctrl-C. */
  cancel(runId: string): void;
}

/** The last lines of workers come after their run's end; a cluster that does not go must not keep the outcome back. */
const lastLinesMs = 3_000;
/** A terminal that is not drawn yet keeps this much. */
const maxPendingCharacters = 1024 * 1024;
/** Backspace goes on at the end of the row above: a typed line may be longer than the terminal is wide. */
const reverseWraparound = '\x1b[?45h';

/** The terminals that runs print to: one for each flow, used again for its next run. */
export class RunTerminals {
  readonly #entries = new Map<string, Entry>();
  readonly #keys: RunKeys;
  readonly #closed: vscode.Disposable;

  constructor(keys: RunKeys) {
    this.#keys = keys;
    this.#closed = vscode.window.onDidCloseTerminal((terminal) => {
      for (const [key, entry] of this.#entries) if (entry.terminal === terminal) this.#entries.delete(key);
    });
  }

  /** Shows a run's output in its flow's terminal, or in another one while that is taken by a live run. */
  open(runId: string, name: string, output: RunOutput, header: string): void {
    let key = name;
    for (let n = 2; this.#entries.get(key)?.pty.busy; n += 1) key = `${name} (${n})`;
    let entry = this.#entries.get(key);
    if (!entry) {
      const pty = new RunTerminal(this.#keys);
      entry = {
        pty,
        terminal: vscode.window.createTerminal({
          name: key,
          pty,
          iconPath: new vscode.ThemeIcon('server-process'),
        }),
      };
      this.#entries.set(key, entry);
    }
    entry.pty.attach(runId, output, header);
  }

  /** Brings the run's terminal to the front without taking the focus; false if it was closed. */
  show(runId: string, preserveFocus = true): boolean {
    const entry = [...this.#entries.values()].find(({ pty }) => pty.runId === runId);
    entry?.terminal.show(preserveFocus);
    return entry !== undefined;
  }

  /** Writes the run's outcome under its output; the terminal is free for the next run then. */
  finish(runId: string, line: string): void {
    for (const { pty } of this.#entries.values()) if (pty.runId === runId) pty.finish(line);
  }

  dispose(): void {
    this.#closed.dispose();
    for (const { terminal } of this.#entries.values()) terminal.dispose();
  }
}

class RunTerminal implements vscode.Pseudoterminal {
  readonly #write = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.#write.event;
  readonly #keys: RunKeys;
  /** Also to the run before, whose workers may still have something to say. */
  readonly #listening = new Set<{ dispose(): void }>();
  #editor = new LineEditor();
  #output: RunOutput | undefined;
  #outcome: { readonly line: string; readonly timer: NodeJS.Timeout } | undefined;
  #opened = false;
  #pending = '';
  runId = '';
  busy = false;

  constructor(keys: RunKeys) {
    this.#keys = keys;
  }

  attach(runId: string, output: RunOutput, header: string): void {
    this.#printOutcome();
    this.runId = runId;
    this.busy = true;
    this.#output = output;
    this.#editor = new LineEditor();
    this.#print(`\x1b[2m${header}\x1b[0m\n`);
    this.#print(output.text());
    const listening = output.onWrite((text) => this.#print(text));
    this.#listening.add(listening);
    output.onEnd(() => {
      listening.dispose();
      this.#listening.delete(listening);
    });
  }

  finish(line: string): void {
    this.busy = false;
    this.#outcome = { line, timer: setTimeout(() => this.#printOutcome(), lastLinesMs) };
    const output = this.#output;
    output?.onEnd(() => this.#output === output && this.#printOutcome());
  }

  open(): void {
    this.#opened = true;
    this.#write.fire(reverseWraparound + this.#pending);
    this.#pending = '';
  }

  close(): void {
    clearTimeout(this.#outcome?.timer);
    for (const listening of this.#listening) listening.dispose();
  }

  handleInput(data: string): void {
    if (!this.busy) return;
    // The run's stdin is a socket, not a terminal: lines are edited and shown here, and sent with Enter.
    const { echo, send, end, cancel } = this.#editor.type(data);
    this.#print(echo);
    if (send !== '') this.#keys.input(this.runId, send);
    if (end) this.#keys.endInput(this.runId);
    if (cancel) this.#keys.cancel(this.runId);
  }

  #printOutcome(): void {
    if (!this.#outcome) return;
    const { line, timer } = this.#outcome;
    this.#outcome = undefined;
    clearTimeout(timer);
    this.#print(`\x1b[2m${line}\x1b[0m\n\n`);
  }

  /** A terminal wants carriage returns; programs that write to a socket send bare newlines. */
  #print(text: string): void {
    const lines = text.replaceAll(/\r?\n/g, '\r\n');
    if (this.#opened) this.#write.fire(lines);
    else this.#pending = (this.#pending + lines).slice(-maxPendingCharacters);
  }
}
