import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Mocha from 'mocha';

/** Called by VS Code in the extension host: runs every test beside this file. */
export async function run(): Promise<void> {
  const mocha = new Mocha({
    reporter: process.env.FLOW_CLUSTERS_TEST_REPORTER ?? 'spec',
    timeout: 180_000,
    forbidOnly: true,
  });
  for (const name of readdirSync(__dirname)) {
    if (name.endsWith('.test.js')) mocha.addFile(join(__dirname, name));
  }
  console.log('Extension tests begin');
  const failures = await new Promise<number>((resolve) => mocha.run(resolve));
  if (failures > 0) throw new Error(`${failures} failed`);
}
