import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeCertificates } from '../certificateMaker.ts';
import { memberFolder } from './members.ts';
import { tarOf } from './tar.ts';

/** The helpers that a member needs; those of the host and of runs stay here. */
const modules = ['__init__', 'belongings', 'member', 'relay', 'warm_workers'];

/**
 * What is put into each container before it starts, as one tar: certificates go as files, never as environment.
 * @param folder of our Python helpers
 */
export async function memberFiles(folder: string, certificates: NodeCertificates): Promise<Buffer> {
  const scripts = ['cluster_member.py', ...modules.map((module) => `flow_clusters/${module}.py`)];
  const read = scripts.map(async (name) => [name, await readFile(join(folder, name))] as const);
  const files: (readonly [string, string | Buffer])[] = [
    ...(await Promise.all(read)),
    // Readable by all in the container: images run as whichever user they like, and nobody else is in there.
    ['ca.pem', certificates.ca],
    ['node.pem', `${certificates.cert}\n${certificates.key}`],
  ];
  return tarOf(files.map(([name, content]) => [`${memberFolder.slice(1)}/${name}`, content]));
}
