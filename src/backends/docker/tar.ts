/** Files as one tar, in this order. The same files make the same bytes. */
export async function tarOf(
  files: Iterable<readonly [name: string, content: string | Buffer]>,
): Promise<Buffer> {
  const { pack } = await import('./dockerode.ts');
  const tar = pack();
  const mtime = new Date(0);
  for (const [name, content] of files) tar.entry({ name, mtime }, content);
  tar.finalize();
  return bytesOf(tar);
}

/** All that a stream gives. */
export async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
