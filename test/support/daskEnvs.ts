import { fileURLToPath } from 'node:url';
import { ensureVenv } from '../../scripts/lib/venv.mjs';

/** The Dask versions that live tests run on: the oldest supported, one between, the newest. */
export const daskVersions = ['2022', '2024', 'latest'] as const;
export type DaskVersion = (typeof daskVersions)[number];

/** An environment with that version, made at the first call on a machine (about 10 s). */
export async function daskEnv(version: DaskVersion): Promise<{ python: string }> {
  const file = new URL(`requirements/dask-${version}.txt`, import.meta.url);
  return await ensureVenv({ name: `dask-${version}`, requirementsFile: fileURLToPath(file) });
}
