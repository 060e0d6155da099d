// venvMain.mjs NAME REQUIREMENTS: makes or finds a Python environment; prints each step, then its interpreter.
// A process of its own, so that ending its group also ends pip.
import { ensureVenv } from './venv.mjs';

const [name = '', requirementsFile = ''] = process.argv.slice(2);
try {
  const { python } = await ensureVenv({ name, requirementsFile, onProgress: (line) => console.log(line) });
  console.log(python);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
