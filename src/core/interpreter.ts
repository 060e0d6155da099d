import { UserError } from './errors.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code's own variable.
const folderVariable = '${workspaceFolder}';

/** A setting that holds a path, and what its variables stand for. */
export interface PathSetting {
  /** The setting's full name: errors lead to it. */
  readonly key: string;
  readonly value: string;
  readonly home: string;
  /** Path of the workspace folder, if one is open. */
  readonly folder: string | undefined;
}

/**
 * The path that a setting means: `~` is the home folder, `${workspaceFolder}` the open one. Throws a
 * {@link UserError} that opens the setting if it needs a folder and none is open.
 */
export function expandPath({ key, value, home, folder }: PathSetting): string {
  const path = value.trim().replace(/^~(?=$|[\\/])/, () => home);
  if (!path.includes(folderVariable)) return path;
  if (folder === undefined) {
    throw new UserError('setting', `The setting ${key} is "${value}", but no folder is open`, {
      hint: 'Give the whole path.',
      action: { kind: 'open-settings', key },
    });
  }
  return path.replaceAll(folderVariable, () => folder);
}
