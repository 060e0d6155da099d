import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeCertificates } from '../certificateMaker.ts';
import { memberFolder } from './members.ts';

/** The helpers that a member needs; those of the host and of runs stay here. */
const modules = ['__init__', 'belongings', 'member', 'relay', 'warm_workers'];

/**
 * What is put into each container before it starts, as one tar: certificates go as files, never as environment.
 * @param folder of our Python helpers
 */
export async function memberFiles(folder: string, certificates: NodeCertificates): Promise<Buffer> {
  const { pack } = await import('./dockerode.ts');
  const tar = pack();
  const put = (name: string, text: string | Buffer) =>
    tar.entry({ name: `${memberFolder.slice(1)}/${name}` }, text);
  put('cluster_member.py', await readFile(join(folder, 'cluster_member.py')));
  for (const module of modules) {
    put(`flow_clusters/${module}.py`, await readFile(join(folder, 'flow_clusters', `${module}.py`)));
  }
  // Readable by all in the container: images run as whichever user they like, and nobody else is in there.
  put('ca.pem', certificates.ca);
  put('node.pem', `${certificates.cert}\n${certificates.key}`);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
