import type { NodeCertificates } from '../certificateMaker.ts';
import { memberFiles, memberFolder } from '../memberProtocol.ts';
import { tarOf } from './tar.ts';

/** What is put into each container before it starts. Readable by all in there: images run as whichever user they like. */
export async function memberTar(pythonFolder: string, certificates: NodeCertificates): Promise<Buffer> {
  const files = await memberFiles(pythonFolder, certificates);
  return tarOf(files.map(([name, content]) => [`${memberFolder.slice(1)}/${name}`, content]));
}
