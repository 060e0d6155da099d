const EVERY_MS = 10_000;

/**
 * Does a long step, saying what and for how long: a line when it starts, one each 10 s, one when it ends.
 * @template T
 * @param {string} title what is done, in the present ("Building the extension")
 * @param {(say: (line: string) => void) => Promise<T>} work `say` tells where in the step it is
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const began = performance.now();
  let where = '';
  const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  process.stdout.write(`• ${title}\n`);
  const timer = setInterval(
    () => process.stdout.write(`  … ${title}: ${seconds()}${where ? ` (${where})` : ''}\n`),
    EVERY_MS,
  );
  try {
    const result = await work((line) => {
      where = line.slice(0, 100);
    });
    process.stdout.write(`✓ ${title} (${seconds()})\n`);
    return result;
  } catch (error) {
    process.stdout.write(`✗ ${title} (${seconds()})\n`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}
