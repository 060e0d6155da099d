import { access } from 'node:fs/promises';
import { aptInstall, which } from './debian.mjs';

const MAC = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';

/** What a browser under test needs: it may run as root, and asks nothing of the network. */
export const chromiumFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/**
 * A Chromium or Chrome on this machine: `$FLOW_CLUSTERS_CHROMIUM`, else one on PATH; installed by apt where we may.
 * @returns {Promise<string>} its path
 * @throws {Error} where there is none, saying what to do
 */
export async function ensureChromium() {
  const found = await findChromium();
  if (found) return found;
  await aptInstall(['chromium'], 'testing in a browser');
  const installed = await findChromium();
  if (!installed) throw new Error('chromium was installed but is not on PATH: set FLOW_CLUSTERS_CHROMIUM');
  return installed;
}

async function findChromium() {
  if (process.env.FLOW_CLUSTERS_CHROMIUM) return process.env.FLOW_CLUSTERS_CHROMIUM;
  const onPath = await which('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable');
  if (onPath || process.platform !== 'darwin') return onPath;
  return access(MAC).then(
    () => MAC,
    () => undefined,
  );
}
