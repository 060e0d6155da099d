import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { UserError } from '../core/errors.ts';
import type { Executor, SecurityFiles } from '../core/executor.ts';
import type { Security } from '../core/security.ts';
import type { Given } from '../runs/attachments.ts';
import {
  type CertificatePlaces,
  certificatePaths,
  missingPart,
  readCertificates,
  sortCertificates,
} from '../runs/certificates.ts';

/** Reads the certificates of a setting, from the first folder of the workspace if the paths are relative. */
export function readWorkspaceCertificates(files: SecurityFiles): Promise<Security> {
  return readCertificates(files, places());
}

/** The whole paths of certificates, for code that is run from anywhere; undefined where there are none that can be told. */
export function filesForCode(files: SecurityFiles, log: vscode.LogOutputChannel): SecurityFiles | undefined {
  try {
    return certificatePaths(files, places());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // The code is of use without them: it says what to fill in.
    log.warn(error.message);
    return undefined;
  }
}

/** An executor as code can name it: by whole paths, and never with a key that is in the settings as text. */
export function executorForCode(executor: Executor, log: vscode.LogOutputChannel): Executor {
  if (executor.kind !== 'existing' || !executor.security) return executor;
  const { security, ...rest } = executor;
  const files = filesForCode(security, log);
  return files ? { ...rest, security: files } : rest;
}

function places(): CertificatePlaces {
  const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === 'file');
  return { home: homedir(), folder: folder?.uri.fsPath };
}

export interface CertificatesQuestion {
  readonly address: string;
  /** Why they are asked for. */
  readonly why: string;
  /** Those that Dask's own configuration names. */
  readonly dask: SecurityFiles | undefined;
}

interface WayItem extends vscode.QuickPickItem {
  get(): Promise<Given | undefined>;
}

/**
 * Asks where the certificates for a scheduler are; undefined if the user does not say. Files of Dask's configuration
 * are read anew each time; what is chosen or pasted is to be kept as a secret.
 * @throws UserError if they are no certificates, or don't belong together
 */
export async function askCertificates({
  address,
  why,
  dask,
}: CertificatesQuestion): Promise<Given | undefined> {
  const title = `Certificates for ${address}`;
  const ways: WayItem[] = [
    {
      label: '$(files) Choose Files…',
      detail: 'PEM files of the authority, of your certificate and of its key, all at once',
      get: () => choose(title),
    },
    {
      label: '$(clippy) Paste Text…',
      detail: 'The same as PEM text',
      get: () => paste(title),
    },
  ];
  if (dask) {
    ways.unshift({
      label: '$(book) Those of Dask’s Configuration',
      detail: [dask.ca, dask.cert, dask.key].filter(Boolean).join(', '),
      get: async () => ({ security: await readWorkspaceCertificates(dask), files: dask }),
    });
  }
  const placeHolder = why.replace(/^./, (first) => first.toUpperCase());
  const options = { title, placeHolder, ignoreFocusOut: true };
  return (await vscode.window.showQuickPick(ways, options))?.get();
}

async function choose(title: string): Promise<Given | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    title: `${title}: authority, certificate, key`,
    openLabel: 'Use',
    canSelectMany: true,
    filters: { 'PEM files': ['pem', 'crt', 'cer', 'key'], 'All files': ['*'] },
  });
  if (!chosen) return undefined;
  const texts = await Promise.all(chosen.map((uri) => vscode.workspace.fs.readFile(uri)));
  return { security: sortCertificates(texts.map((text) => Buffer.from(text).toString()).join('\n')) };
}

/** Asks until all is there, as it may come in pieces. */
async function paste(title: string): Promise<Given | undefined> {
  let text = '';
  for (;;) {
    const missing = missingPart(text);
    if (missing === undefined) break;
    const typed = await vscode.window.showInputBox({
      title,
      prompt:
        text === ''
          ? 'Paste the PEM text of the authority, the certificate and the key; all at once or one after the other.'
          : `Paste ${missing} too. Empty: go without.`,
      password: true,
      ignoreFocusOut: true,
    });
    if (typed === undefined) return undefined;
    if (typed.trim() === '') break;
    text += `${typed}\n`;
  }
  return { security: sortCertificates(text) };
}
