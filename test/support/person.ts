import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { root } from '../../scripts/lib/checkout.mjs';
import { chromiumFlags, ensureChromium } from '../../scripts/lib/chromium.mjs';
import { copySamples, ensureTestPython, prefectHome } from '../../scripts/lib/testBed.mjs';
import { quietEditor, startVscodeServer, workbenchUrl } from '../../scripts/lib/vscodeServer.mjs';
import { type BedProcess, processesMarked } from './personProcesses.ts';
import { Workbench } from './workbench.ts';

/** The variable by which the processes of a bed are known. */
const MARK = 'FLOW_CLUSTERS_TEST_BED';

/** What a test may choose about the window that it opens. */
export interface OpenOptions {
  /** A file of the samples that is open in the editor from the start. */
  readonly file?: string;
  /** A folder other than the bed's copy of the samples. */
  readonly folder?: string;
}

/** A VS Code server and a browser for a suite: every test opens a window of its own. */
export class PersonBed {
  /** A copy of the samples that tests may change. */
  readonly workspace: string;
  readonly #directory: string;
  readonly #server: Awaited<ReturnType<typeof startVscodeServer>>;
  readonly #browser: Browser;

  private constructor(
    directory: string,
    workspace: string,
    server: Awaited<ReturnType<typeof startVscodeServer>>,
    browser: Browser,
  ) {
    this.#directory = directory;
    this.workspace = workspace;
    this.#server = server;
    this.#browser = browser;
  }

  /**
   * Starts the bed with the extension as it is built in dist/.
   * @param settings machine settings beside the interpreter of the samples
   * @param askTrust windows ask whether the folder is trusted, as a user's do
   */
  static async start(settings: Readonly<Record<string, unknown>> = {}, askTrust = false): Promise<PersonBed> {
    const [executablePath, python] = await Promise.all([ensureChromium(), ensureTestPython()]);
    const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-person-'));
    const workspace = await copySamples(directory);
    const server = await startVscodeServer({
      dataDirectory: join(directory, 'server'),
      settings: {
        'flowClusters.python': python,
        'editor.minimap.enabled': false,
        // What else runs on the machine is not the test's; the one that wants it says so in its folder.
        'flowClusters.discover': false,
        ...quietEditor,
        ...settings,
      },
      env: { PREFECT_HOME: prefectHome(), [MARK]: directory },
      // A closed window's extension host ends at once instead of waiting hours for it to come back.
      flags: [
        ...(askTrust ? [] : ['--disable-workspace-trust']),
        ...['--enable-smoke-test-driver', '--reconnection-grace-time', '1'],
      ],
    });
    const browser = await chromium.launch({ executablePath, args: chromiumFlags });
    return new PersonBed(directory, workspace, server, browser);
  }

  /** Opens a window, ready for use, in a browser profile of its own. */
  async open({ file, folder = this.workspace }: OpenOptions = {}): Promise<Workbench> {
    const context = await this.#browser.newContext({ viewport: { width: 1400, height: 1000 } });
    const page = await context.newPage();
    const workbench = new Workbench(page);
    const url = workbenchUrl(this.#server, {
      developmentPath: root,
      folder,
      ...(file && { file: join(folder, file) }),
    });
    await page.goto(url);
    await workbench.ready();
    return workbench;
  }

  /** The living processes that the extension started, in all windows: interpreters, language servers. */
  async processes(): Promise<BedProcess[]> {
    const all = await processesMarked(`${MARK}=${this.#directory}`);
    // The editor opens a shell of its own when its terminals are first shown.
    const isEditor = ({ executable, command }: BedProcess) =>
      command.includes('shellIntegration') ||
      (executable.endsWith('/node') && !command.includes(join(root, 'dist')));
    return all.filter((process) => !isEditor(process));
  }

  /** What the extension has logged in the window that was opened last. */
  async logs(): Promise<string> {
    const directory = join(this.#directory, 'server', 'data', 'logs');
    const names = (await readdir(directory, { recursive: true })).filter((name) =>
      /Flow Clusters.*\.log$/.test(name),
    );
    const last = names.sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).at(-1);
    return last ? readFile(join(directory, last), 'utf8') : '';
  }

  /** Ends the browser, the server and all that they started. */
  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
