import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type KindForm, kindForms, type Schema } from '../../../src/core/executorForm.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What package.json says of one executor. */
export function describedSchema(): Schema {
  const { contributes } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    contributes: { configuration: { properties: Record<string, { items?: Schema }> } };
  };
  return contributes.configuration.properties['flowClusters.executors']?.items ?? {};
}

/** The forms of all kinds that it describes. */
export const describedForms = (): KindForm[] => kindForms(describedSchema());
