import * as vscode from 'vscode';
import type { Finding, Severity } from '../core/preflight/finding.ts';
import { buttonLabel, carryOut } from './messages.ts';

/** A row under the findings: what else can be done. */
export interface FindingsChoice {
  readonly label: string;
  readonly icon: string;
}

interface Row extends vscode.QuickPickItem {
  readonly finding?: Finding;
  readonly choice?: FindingsChoice;
}

const icons: Readonly<Record<Severity, { icon: string; title: string }>> = {
  error: { icon: 'error', title: 'would make a run fail' },
  warning: { icon: 'warning', title: 'may matter' },
  info: { icon: 'info', title: 'to know' },
  good: { icon: 'pass', title: 'all right' },
};
const copyReport: FindingsChoice = { label: 'Copy Report', icon: 'copy' };

/**
 * Lists findings until one of `choices` is taken; undefined if the user leaves instead, or goes to mend something. Enter
 * on a finding shows all of its text and what can be done.
 * @param signal closes the list
 */
export async function showFindings(
  title: string,
  findings: readonly Finding[],
  choices: readonly FindingsChoice[],
  signal?: AbortSignal,
): Promise<FindingsChoice | undefined> {
  let active: Finding | undefined;
  for (;;) {
    const row = await pickRow(title, rowsOf(findings, [...choices, copyReport]), active, signal);
    if (row?.choice === copyReport) await vscode.env.clipboard.writeText(reportOf(title, findings));
    else if (!row?.finding) return row?.choice;
    else if (await mend(row.finding)) return undefined;
    active = row.finding;
  }
}

/** `2 problems, 1 warning`, `all is well`. */
export function summaryOf(findings: readonly Finding[]): string {
  const count = (severity: Severity, noun: string) => {
    const n = findings.filter((finding) => finding.severity === severity).length;
    return n === 0 ? [] : [`${n} ${noun}${n === 1 ? '' : 's'}`];
  };
  return [...count('error', 'problem'), ...count('warning', 'warning')].join(', ') || 'all is well';
}

function rowsOf(findings: readonly Finding[], choices: readonly FindingsChoice[]): Row[] {
  const rows: Row[] = [];
  let severity: Severity | undefined;
  for (const finding of findings) {
    const { icon, title } = icons[finding.severity];
    if (finding.severity !== severity) rows.push({ label: title, kind: vscode.QuickPickItemKind.Separator });
    severity = finding.severity;
    rows.push({
      label: `$(${icon}) ${finding.message}`,
      ...(finding.hint && { detail: finding.hint }),
      finding,
    });
  }
  const more = choices.map((choice): Row => ({ label: `$(${choice.icon}) ${choice.label}`, choice }));
  return [...rows, { label: '', kind: vscode.QuickPickItemKind.Separator }, ...more];
}

function pickRow(
  title: string,
  rows: readonly Row[],
  active: Finding | undefined,
  signal: AbortSignal | undefined,
): Promise<Row | undefined> {
  return new Promise((resolve) => {
    const pick = vscode.window.createQuickPick<Row>();
    const hide = () => pick.hide();
    pick.title = title;
    pick.placeholder = 'Enter on a finding shows what can be done';
    pick.items = rows;
    // Without any, the first row is active by itself.
    if (active) pick.activeItems = rows.filter(({ finding }) => finding === active);
    // It waits for an answer: a glance at the file or a terminal must not take it away.
    pick.ignoreFocusOut = true;
    pick.onDidAccept(() => {
      resolve(pick.selectedItems[0]);
      pick.hide();
    });
    pick.onDidHide(() => {
      signal?.removeEventListener('abort', hide);
      resolve(undefined);
      pick.dispose();
    });
    signal?.addEventListener('abort', hide, { once: true });
    pick.show();
    if (signal?.aborted) hide();
  });
}

/** Shows a finding with its buttons; true if one of them has taken the user elsewhere. */
async function mend({ message, hint, actions = [] }: Finding): Promise<boolean> {
  const labels = actions.map(buttonLabel);
  const options = { modal: true, ...(hint && { detail: hint }) };
  const chosen = await vscode.window.showInformationMessage(message, options, ...labels);
  const action = actions[labels.indexOf(chosen ?? '')];
  if (!action) return false;
  await carryOut(action);
  return action.kind !== 'copy';
}

function reportOf(title: string, findings: readonly Finding[]): string {
  const lines = findings.map(({ severity, message, hint }) =>
    [`${severity}: ${message}`, hint && `  ${hint}`].filter(Boolean).join('\n'),
  );
  return [title, ...lines].join('\n');
}
