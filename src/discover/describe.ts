import { basename } from 'node:path';

/** Options of Python that have their value in the next argument. */
const withValue = new Set(['-X', '-W', '--check-hash-based-pycs']);

/**
 * What a Python process runs, in a word or two: `etl.py`, `Jupyter`, `dask scheduler`, `prefect.engine`. Nothing of
 * its arguments, which may be anybody's secrets.
 */
export function describeProcess(argv: readonly string[]): string {
  const rest = argv.slice(1);
  let i = 0;
  while (rest[i]?.startsWith('-') && rest[i] !== '-m' && rest[i] !== '-c')
    i += withValue.has(rest[i] ?? '') ? 2 : 1;
  const [first = '', second = ''] = rest.slice(i);
  const what = first === '-m' ? second : first;
  const name = basename(what.replaceAll('\\', '/')).replace(/\.exe$/i, '');
  if (/jupyter|ipykernel/i.test(name) || /ipykernel_launcher/.test(what)) return 'Jupyter';
  if (/^(ipython|IPython)/.test(name)) return 'IPython';
  if (/^dask-scheduler$|cli\.dask_scheduler$/.test(name) || (name === 'dask' && rest.includes('scheduler')))
    return 'dask scheduler';
  if (first === '' || first === '-c') return 'Python';
  return name || 'Python';
}
