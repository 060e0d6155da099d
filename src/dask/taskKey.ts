/**
 * The prefix that Dask groups a task by: its key without the unique part. `load-csv-8f3c…` is `load-csv`,
 * `('sum-9b1e…', 0, 1)` is `sum` (dask/utils.py: `key_split`; names of a prefix may not hold digits).
 * @param key as decoded: text, or an array for a tuple
 */
export function taskPrefix(key: unknown): string {
  const text = Array.isArray(key) ? key[0] : key;
  if (typeof text !== 'string') return 'Other';
  const [first = '', ...rest] = text.split('-');
  if (first === '') return 'Other';
  const words = [
    /^\p{L}/u.test(first) ? first : (first.split(',')[0] ?? '').replace(/^[_'()"]+|[_'()"]+$/g, ''),
  ];
  for (const word of rest) {
    if (!/^\p{L}+$/u.test(word) || /^[a-f]{8}$/.test(word)) break;
    words.push(word);
  }
  const prefix = words.join('-');
  if (/^[a-f0-9]{32}$/.test(prefix)) return 'data';
  if (!prefix.startsWith('<')) return prefix;
  const inside = prefix.replace(/^[<>]+|[<>]+$/g, '').split(/\s+/)[0] ?? '';
  return inside.split('.').at(-1) ?? inside;
}

/** A key as text. A tuple is written as Dask's dashboard does. */
export function taskKeyText(key: unknown): string {
  if (typeof key === 'string') return key;
  if (Array.isArray(key))
    return `(${key.map((part) => (typeof part === 'string' ? `'${part}'` : String(part))).join(', ')})`;
  return String(key);
}

/**
 * The run that a task is of, by the mark that our runner puts into the keys of Prefect's tasks
 * (python/flow_clusters/runner/watch.py: `mark_keys`). Undefined for all others.
 */
export function taskRun(key: unknown): string | undefined {
  return typeof key === 'string' ? /-fcrun\.(\w+)-/.exec(key)?.[1] : undefined;
}
