/** What the user pastes into a terminal: on Windows PowerShell, VS Code's default there. */
export function installCommand(
  python: string,
  packages: string | readonly string[],
  { upgrade, platform = process.platform }: { upgrade: boolean; platform?: NodeJS.Platform },
): string {
  // PowerShell takes a quoted path for a text unless told to call it.
  const call = platform === 'win32' ? '& ' : '';
  const names = [packages].flat().map((name) => `"${name}"`);
  return `${call}"${python}" -m pip install ${upgrade ? '-U ' : ''}${names.join(' ')}`;
}
