import { setTimeout as delay } from 'node:timers/promises';
import { type OpenOptions, PersonBed } from './person.ts';
import type { Workbench } from './workbench.ts';

let started: Promise<PersonBed> | undefined;
let windows: Workbench[] = [];

/** The suite's one bed: started by the first test that needs it, ended after the last. */
export function bed(): Promise<PersonBed> {
  started ??= PersonBed.start();
  return started;
}

/** Opens a window that is closed, and on failure photographed, when the test ends. */
export async function openWindow(options?: OpenOptions): Promise<Workbench> {
  const workbench = await (await bed()).open(options);
  windows.push(workbench);
  return workbench;
}

/** What of the extension still runs after a time; sooner, when nothing does. */
export async function leftAfter(limitMs: number): Promise<readonly unknown[]> {
  const until = Date.now() + limitMs;
  for (;;) {
    const left = await (await bed()).processes();
    if (left.length === 0 || Date.now() > until) return left;
    await delay(100);
  }
}

before(async function () {
  this.timeout(300_000);
  await bed();
});

afterEach(async function () {
  const opened = windows;
  windows = [];
  const failed = this.currentTest?.state === 'failed';
  if (failed) console.log(`The extension's log:\n${(await (await bed()).logs()).slice(-4_000)}`);
  for (const [index, workbench] of opened.entries()) {
    if (failed && !workbench.page.isClosed())
      await workbench.screenshot(`failed ${this.currentTest?.fullTitle()} ${index}`);
    if (failed && workbench.errors.length > 0) console.log(workbench.errors.join('\n'));
    await workbench.close();
  }
});

after(async () => {
  await (await started)?.close();
});
